#!/usr/bin/env bash
#SBATCH --job-name=tckr
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
#SBATCH --requeue                              # a pre-empted job is started again, and continues
#SBATCH --open-mode=append
# One Ray node per machine of the job. Submit it in a folder of the shared disk, in the environment that has TCKR.
set -euo pipefail
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(getent ahostsv4 "$first" | awk 'NR == 1 { print $1 }')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$PWD/.ray_token.$SLURM_JOB_ID
(umask 077; openssl rand -hex 32 > "$RAY_AUTH_TOKEN_PATH")
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
port=$((20000 + SLURM_JOB_ID % 10000))         # other jobs may be on the same machine
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300

# symmetric-run starts Ray on every machine, the command on the first, and stops Ray when the command ends.
srun --kill-on-bad-exit=0 ray symmetric-run --address "$address:$port" --min-nodes "$SLURM_NNODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- \
    tckr run --data /shared/photos --output /shared/runs --name photos execution.executor=ray execution.ray_address=auto execution.threads=4

#!/usr/bin/env bash
# Two or more machines, over ssh: bash examples/cluster/by_hand.sh FIRST SECOND ...
# Run it on FIRST, in a folder of the shared disk, with TCKR installed in the same environment everywhere.
set -euo pipefail
first=$1
shift
export RAY_AUTH_MODE=token                     # whoever reaches the port of a Ray cluster can run code on it
ray get-auth-token --generate > /dev/null      # writes ~/.ray/auth_token unless it is there
environment="cd '$PWD' && export PATH='$PATH' RAY_AUTH_MODE=token &&"

ray start --head --node-ip-address="$first" --port=6379 --include-dashboard=false
trap 'for other in "$@"; do ssh "$other" "$environment ray stop"; done; ray stop' EXIT
for other in "$@"; do
    ssh "$other" 'mkdir -p -m 700 ~/.ray && cat > ~/.ray/auth_token && chmod 600 ~/.ray/auth_token' < ~/.ray/auth_token
    ssh "$other" "$environment ray start --address='$first:6379'"
done
tckr run --data /shared/photos --output /shared/runs --name photos execution.executor=ray execution.ray_address=auto execution.threads=4

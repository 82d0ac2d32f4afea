"""Glossary: the meaning and the limits of every number in the report."""

from __future__ import annotations

GLOSSARY = {
    "CAS": (
        "Classification accuracy score: accuracy of a classifier on the locked real test split. For the Student, "
        "which was trained only on synthetic images, it measures how useful those images are for the task. It does not show "
        "that the images look right, or how the classifier behaves on other data."
    ),
    "Balanced accuracy": (
        "The mean over classes of the accuracy on each class. Always predicting one frequent class does not increase it, in "
        "contrast to accuracy. It is not the share of correct predictions on data with the test split's class shares."
    ),
    "Label agreement": (
        "Share of the synthetic images that the Teacher assigns to the class of their prompt. It is not an accuracy: "
        "the Teacher may be wrong, and images that were generated again until the Teacher recognised them "
        "agree by construction. Under a formal guarantee it is that of the Teacher trained with noise; if "
        "labels are the classes of the prompts, it is not measured."
    ),
    "Release surface": (
        "A part that could be released: captions, adapter, synthetic images, soft labels, Teacher, Student. Each is "
        "attacked separately, with what its holder has. The numbers do not add up: a package of several surfaces is at "
        "least as exposed as its most exposed surface."
    ),
    "Membership AUC": (
        "Probability that the attack gives a random training record a higher score than a random record "
        "that was not trained on; 0.5 is guessing, 1 is certainty. It is an average over records: it does "
        "not show that the most exposed person is safe."
    ),
    "TPR at low FPR": (
        "Share of the training records that the attack finds while wrongly accusing only a small share of "
        "the others (0.1 to 10 %). It shows that a few records stand out, not which ones. With few "
        "non-members it cannot be measured."
    ),
    "AOP": (
        "Accuracy over privacy: CAS / (2 max(AUC, 0.5))^lambda with the declared attack. It ranks models by "
        "their tradeoff of accuracy and privacy. It is not a probability, and a high value does not mean "
        "that a model is private."
    ),
    "Epsilon lower bound": (
        "At the stated confidence and delta, the model cannot have an (epsilon, delta) guarantee below this value. "
        "It is a lower bound found by one attack: 0 does not prove differential privacy, and no value is a guarantee."
    ),
    "ECE": (
        "Expected calibration error: mean difference between stated confidence and accuracy. It does not show that a single "
        "prediction is right."
    ),
    "Brier score and log loss": (
        "Errors of the stated probabilities, squared or logarithmic: both wrong predictions and overconfident "
        "predictions increase them. They do not tell which of the two occurred."
    ),
    "McNemar test": (
        "Tests, on the test images where exactly one of the two models is right, whether one model wins "
        "more often than a fair coin. A large p-value does not show that the models are equally good: look "
        "at the interval of the difference."
    ),
    "FID and KID": (
        "Distances between the synthetic images and the members in the features of a network; 0 is "
        "identical. They do not judge single images, and a generator that copies members scores better than real images do."
    ),
    "Precision and recall, density and coverage": (
        "Whether synthetic images are close to members, and whether members have synthetic images close to "
        "them. They detect implausible images and missing kinds of images; they do not show that the images are useful."
    ),
    "Declared attack": (
        "The scorer fixed before anything was trained; its AUC is used in AOP. It is not the strongest attack, which is "
        "chosen afterwards and printed separately, because a choice on the same records favours the attacker."
    ),
    "Strongest found": (
        "The highest AUC of all signals and scorers on a surface. It was chosen with knowledge of the members, so it "
        "overestimates this attack slightly. It does not show that no stronger attack exists."
    ),
    "Indirect queries": (
        "The Student is queried on the synthetic images nearest to a record instead of the record itself, because what a "
        "Teacher memorized about a record can pass into its labels of similar images. The record need not "
        "closely resemble any single image."
    ),
    "Reference run": (
        "The same pipeline on another random choice of training records. It shows the attack how models "
        "respond to members and non-members. It is not a copy of the target's training set."
    ),
    "Depth": (
        "How much of the pipeline a reference run repeats: the Teacher; Teacher, soft labels and Student; or everything "
        "from the captions on (full). All runs share what is not repeated, so leakage through it cannot be "
        "distinguished from what every run reveals."
    ),
    "Attack without references": (
        "A threshold on the signal only, for a surface that no reference run repeated: a record that is easy for every "
        "model looks like a member. Quantile regression tests instead whether the signal is high compared with similar "
        "records. Both are weak and have no controls: what they find is a leak, but a surface on which "
        "they find nothing counts as not measured."
    ),
    "No measurable leakage": (
        "Reference runs repeated the surface, and no test shows a leak: not the interval of the attack's "
        "AUC, not an epsilon bound, and not the copies among the images. It is a measurement with these "
        "attacks and these records, not a guarantee: another attack or another training run may find more."
    ),
    "Control": (
        "An attack with a known correct result, run with the same code and the same reference runs as the other attacks. It "
        "shows that the audit can find leakage and does not invent it, on surfaces that reference runs "
        "repeated. It does not make an attack stronger, and attacks without references have no controls."
    ),
    "Excess of near-copies": (
        "Share of the synthetic images that are near-copies of a member, minus the share that are as near to a record that "
        "the generator was not trained on. Images of one kind resemble one another, so near-copies prove nothing; their "
        "excess does. Zero does not mean that no single image is a copy: look at the flagged ones. After images "
        "were generated again it is too low."
    ),
    "Closer to members": (
        "Share of the synthetic images whose nearest real record is a member, among equally many members and hold-out "
        "records; one half is chance. It measures a general attraction to the members and does not show that a "
        "single image is a copy."
    ),
    "Attacked together": (
        "The holder of a package has all its surfaces. The declared attack's scores on the surfaces that reference runs "
        "repeated are added up, with weights fitted on reference runs. Surfaces that no "
        "reference run repeated are not included."
    ),
    "PPV": (
        "Positive predictive value: the share of true members among the records that the attack calls "
        "members. It depends on how many other records the attacker tests for each member, so it is given "
        "for 1, 10 and 100. It does not tell how many an attacker would test."
    ),
    "mu of Gaussian differential privacy": (
        "A guarantee of strength mu means that no attack distinguishes two data sets that differ in one record better "
        "than N(0, 1) from N(mu, 1). The printed number is a lower bound: no smaller mu can hold for this training. The "
        "epsilon beside it applies to mechanisms with Gaussian noise and does not bound that of others."
    ),
    "Canary bound": (
        "Canaries are records that a fair coin includes in or excludes from the training. If more of these "
        "coins are guessed right from the release than an (epsilon, delta) guarantee allows, the guarantee "
        "is refuted by a single training run. It is a lower bound: 0 proves nothing, and the largest of "
        "several bounds does not have the confidence of each."
    ),
}

"""What every number of the report means, and what it does not mean."""

from __future__ import annotations

GLOSSARY = {
    "CAS": (
        "Classification accuracy score: accuracy of a classifier on the locked real test split. For the Student, "
        "which trained on synthetic images alone, it says how much of the task those images carry. It does not say "
        "that the images look right, nor how the classifier behaves on other data."
    ),
    "Balanced accuracy": (
        "The mean over classes of the accuracy on each. Always answering one class cannot raise it, as it raises accuracy "
        "where that class is large. It does not say how often the classifier is right on data with the test split's shares."
    ),
    "Label agreement": (
        "Share of the synthetic images that the Teacher takes for the class of their prompt. It is not the accuracy of "
        "anything: the Teacher may be wrong, and images that were drawn again until it knew them agree by construction."
    ),
    "Release surface": (
        "Something that could leave the house: captions, adapter, synthetic images, soft labels, Teacher, Student. Each is "
        "attacked on its own with what its holder can see. The numbers do not add up: a package of several surfaces is at "
        "least as exposed as its worst, and an attack that joins them is not measured."
    ),
    "Membership AUC": (
        "Probability that the attack ranks a random training record above a random record that the model never saw; "
        "0.5 is guessing, 1 is certainty. It is an average over records: it does not say that the most exposed person "
        "is safe."
    ),
    "TPR at low FPR": (
        "Share of the training records that the attack names when it may be wrong about so few of the others (0.1 to "
        "10 %). It shows the few records that stand out; it does not say which ones, and with few non-members it "
        "cannot be measured at all."
    ),
    "AOP": (
        "Accuracy over privacy: CAS / (2 max(AUC, 0.5))^lambda with the declared attack. It ranks models that pay "
        "accuracy for privacy; it is not a probability, and it does not mean that a high value is private."
    ),
    "Epsilon lower bound": (
        "At the stated confidence and delta, no (epsilon, delta) guarantee below this value can hold for the model. "
        "It is a floor found by one attack: 0 does not prove differential privacy, and nothing here is a guarantee."
    ),
    "ECE": (
        "Expected calibration error: mean gap between stated confidence and accuracy. It does not say that any one "
        "prediction is right."
    ),
    "Brier score and log loss": (
        "Errors of the stated probabilities, squared or on a logarithmic scale: they count being wrong and being too "
        "sure of it. They do not say which of the two it was."
    ),
    "McNemar test": (
        "Of the test images on which one model is right and the other wrong, does either side win more often than a fair "
        "coin? A large p-value does not say that the models are equally good: look at the interval of the difference."
    ),
    "FID and KID": (
        "Distances between the synthetic images and the members as a network sees them; 0 is alike. They do not judge "
        "single images, and a generator that copies members scores better than real images can."
    ),
    "Precision and recall, density and coverage": (
        "Whether synthetic images lie where members are, and whether members have synthetic images near them. They see "
        "implausible images and missing kinds of images; they do not say that the images are of use."
    ),
    "Declared attack": (
        "The scorer fixed before anything was trained; its AUC goes into AOP. It is not the strongest found "
        "afterwards, which is printed apart because choosing it on the same records favours the attacker."
    ),
    "Strongest found": (
        "The highest AUC of all signals and scorers on a surface. It was chosen after seeing the truth, so it overstates "
        "that one attack a little; it does not say that no stronger attack exists."
    ),
    "Indirect queries": (
        "The Student is asked about the synthetic images nearest to a record instead of the record, because a Teacher's "
        "memory of a record can travel in its labels of similar images. It does not need the record to resemble any one "
        "image closely."
    ),
    "Reference run": (
        "The same pipeline with another random draw of training records. It shows the attack what members and "
        "non-members look like; it is not a copy of the target's training set."
    ),
    "Depth": (
        "How much of the pipeline a reference run repeats: the Teacher; Teacher, soft labels and Student; or everything "
        "from the captions on (full). What is not repeated is shared by all runs, so what it knows of the target's records "
        "cannot be told from what every run knows."
    ),
    "Attack without references": (
        "A threshold on the signal alone, for a surface that no reference run repeated: a record that is easy for any"
        " model looks like a member to it. Quantile regression asks whether the signal is high for a record that "
        "looks like this one. Both are weak and no control checks them: what they find is a leak, but a surface where"
        " they find nothing counts as not measured."
    ),
    "No measurable leakage": (
        "Reference runs repeated the surface, and neither the interval of the attack's AUC nor an epsilon bound, nor copies "
        "among the images, shows a leak. It is a measurement of these attacks with these records; "
        "it is no guarantee, and it does not say that another attack or another training run would find as little."
    ),
    "Control": (
        "An attack whose right answer is known, run with the same code and the same reference runs as the real ones. It "
        "shows that the audit can find leakage and invents none, on surfaces that reference runs repeated; it does not make "
        "the attack stronger than it is, and an attack without references has none."
    ),
    "Excess of near-copies": (
        "Share of the synthetic images that are near-copies of a member, less the share that are as near to a record that "
        "the generator never saw. Images of one kind resemble one another, so near-copies alone prove nothing; their excess "
        "does. Zero does not mean that no single image is a copy: look at the flagged ones. Once images were "
        "redrawn it is too low."
    ),
    "Closer to members": (
        "Share of the synthetic images whose nearest real record is a member, among equally many members and hold-out "
        "records; one half is what chance gives. It sees a general pull towards the members, and does not say that any "
        "one image is a copy."
    ),
    "Attacked together": (
        "Whoever holds a package holds all its surfaces. The declared attack's scores on those that reference runs "
        "repeated are added up, with weights learned from reference runs. It does not count surfaces that no "
        "reference run repeated."
    ),
    "PPV": (
        "Positive predictive value: of the records that the attack calls members, the share that are. It depends on "
        "how many others the attacker asks about for each member, so it is given for one, 10 and 100; it does not say"
        " how many an attacker would ask about."
    ),
    "mu of Gaussian differential privacy": (
        "A guarantee of strength mu says that no attack tells two data sets that differ in one record apart better "
        "than N(0, 1) from N(mu, 1). Printed is a lower bound: no smaller mu can hold, whatever the training. The "
        "epsilon beside it belongs to mechanisms whose noise is Gaussian; it does not bound that of others."
    ),
    "Canary bound": (
        "Canaries are records put in or left out by a fair coin each. Who guesses more coins right from what was released "
        "than an (epsilon, delta) guarantee allows has refuted that guarantee, from one training run. It is a floor: 0 "
        "proves nothing, and the largest of several bounds does not hold at the confidence of each."
    ),
}

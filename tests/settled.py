"""Parts of recipes that say everything, as steps are given them, with values that suit tiny models."""

from tasks.shared.defaults import resolved
from tasks.shared.recipe_section import Precision
from tasks.shared.recipe_teaching import LabellingPrecision


class Teacher(resolved.ResolvedTeacher):
    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 5e-5
    max_length: int = 128
    precision: Precision = "fp32"


class Labelling(resolved.ResolvedLabelling):
    precision: LabellingPrecision = "fp32"


class Student(resolved.ResolvedStudent):
    dropout: float = 0.1
    vocabulary: int = 0


class Training(resolved.ResolvedTraining):
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 3e-3
    evaluations: int = 6
    precision: Precision = "fp32"


class Augment(resolved.ResolvedAugment):
    copies: int = 0


class Robustness(resolved.ResolvedRobustness):
    texts: int = 200

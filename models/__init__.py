"""The mathematics: networks, objectives, training, inference, metrics, verdict. No Prefect, no MLflow, no folders.

Importing this package registers the students with the Auto classes, so that
`AutoModelForSequenceClassification.from_pretrained(folder)` works.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification

from models.student import RecurrentConfig, RecurrentForSequenceClassification

AutoConfig.register(RecurrentConfig.model_type, RecurrentConfig)
AutoModelForSequenceClassification.register(RecurrentConfig, RecurrentForSequenceClassification)

"""The mathematics: networks, objectives, training, inference, metrics, verdict. No Prefect, no MLflow, no folders.

Importing this package registers the students with the Auto classes, so that
`AutoModelForSequenceClassification.from_pretrained(folder)` works.
"""

from models.families import register

register()

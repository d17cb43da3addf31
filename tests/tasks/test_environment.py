"""What processes that we start get of our environment: no secret, but where a step reads with it."""

import os
from unittest.mock import patch

from tasks.shared.serving.environment import PASSED_ON, bare_environment, environment_of_steps

NEEDED = {
    "PATH": "/bin",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "0",
    "TOKENIZERS_PARALLELISM": "true",
    "PREFECT_LOGGING_LEVEL": "INFO",
}
OF_STEPS = {"HF_TOKEN": "hf", "AWS_SECRET_ACCESS_KEY": "aws", "https_proxy": "http://me:secret@proxy", "HF_HOME": "/hf"}
SECRETS = {
    "PREFECT_API_KEY": "pnu",
    "PREFECT_CLIENT_CUSTOM_HEADERS": "{}",
    "MLFLOW_TRACKING_PASSWORD": "mlflow",
    "MLFLOW_TRACKING_URI": "http://me:secret@mlflow",
    "DATABASE_URL": "postgresql://me:secret@database",
    "GITHUB_TOKEN": "git",
    "COMPANY_SETTING": "nobody's business",
}


def test_servers_get_what_they_need_and_no_secret() -> None:
    with patch.dict(os.environ, NEEDED | OF_STEPS | SECRETS, clear=True):
        assert bare_environment() == NEEDED


def test_steps_also_get_what_they_read_with_and_what_a_person_names() -> None:
    with patch.dict(os.environ, NEEDED | OF_STEPS | SECRETS | {PASSED_ON: "COMPANY_SETTING, NOT_SET"}, clear=True):
        found = environment_of_steps()
    assert found.keys() == NEEDED.keys() | OF_STEPS.keys() | {"COMPANY_SETTING", PASSED_ON}

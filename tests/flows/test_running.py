"""What a tracked run says of the Prefect run that it belongs to."""

import pytest

from flows.run_links import prefect_tags


def test_links_to_prefect_hold_no_login_and_none_to_a_server_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__UI_URL", "http://somebody:secret@example.org/runs/1")
    tags = prefect_tags(own_server=False)
    assert tags["prefect.url"] == "http://example.org/runs/1"
    assert "secret" not in str(tags)
    assert "prefect.url" not in prefect_tags(own_server=True)

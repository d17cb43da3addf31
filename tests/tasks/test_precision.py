"""In which precision a machine computes fastest: asked of the processor, timed once, remembered."""

import json

from tasks.shared.defaults import precision
from tasks.shared.defaults.precision import best_precision, has_bf16, lacks_bf16_lstm


def test_without_the_instructions_nothing_is_timed_or_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_flags", lambda: "fpu sse2 avx2 avx512f")
    monkeypatch.setattr(precision, "_times_as_fast", lambda: 1 / 0)
    assert best_precision("cpu", tmp_path / "kept.json", measure=True) == "fp32"
    assert list(tmp_path.iterdir()) == []


def test_an_lstm_in_bf16_wants_avx_512_of_an_x86_processor(monkeypatch):
    for flags, lacking in (("sse2 avx2 avx512f", True), ("sse2 avx512f avx512bw", False), ("asimd bf16", False)):
        monkeypatch.setattr(precision, "_flags", lambda flags=flags: flags)
        assert lacks_bf16_lstm("cpu") is lacking
        assert not lacks_bf16_lstm("cuda")


def test_with_them_one_product_decides_and_is_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_flags", lambda: "fpu avx512_bf16")
    kept = tmp_path / "kept.json"
    for ratio, found in ((1.05, "fp32"), (3.0, "fp32")):
        monkeypatch.setattr(precision, "_times_as_fast", lambda ratio=ratio: ratio)
        assert best_precision("cpu", kept, measure=True) == found, "the second time it is not asked again"
    kept.write_text("{", encoding="utf-8")
    assert best_precision("cpu", kept, measure=True) == "bf16", "a damaged file is measured anew"
    assert list(json.loads(kept.read_text(encoding="utf-8")).values()) == ["bf16"]
    for damaged in ('{"a": NaN}', "[" * 100_000):
        kept.write_text(damaged, encoding="utf-8")
        assert best_precision("cpu", kept, measure=True) == "bf16"
    kept.unlink()
    kept.mkdir()
    assert best_precision("cpu", kept, measure=True) == "bf16", "what cannot be kept stops nobody"


def test_a_plan_times_nothing_and_goes_by_what_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_flags", lambda: "bf16")
    monkeypatch.setattr(precision, "_times_as_fast", lambda: 1.0)
    kept = tmp_path / "kept.json"
    assert best_precision("cpu", kept, measure=False) == "bf16"
    assert not kept.exists()
    best_precision("cpu", kept, measure=True)
    assert best_precision("cpu", kept, measure=False) == "fp32"


def test_the_product_can_be_timed_and_a_mac_is_not_asked(monkeypatch):
    monkeypatch.setattr(precision, "_SIZE", 64)  # a processor without the instructions takes seconds for more
    assert precision._times_as_fast() > 0
    assert not has_bf16("mps")
    assert isinstance(has_bf16("cpu"), bool)

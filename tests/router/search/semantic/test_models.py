"""Models that are found, and those that are not; with the real one where the extra is installed."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from router.search.semantic.engine import ModelError
from router.search.semantic.loading import PACKAGED_MODEL, is_mostly_ascii, load_engine

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ("git: commit. Records changes.", "maps: route. Finds the way.", "mail: send. Sends it.")


def test_without_the_extra_there_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.search.semantic.loading.find_spec", lambda _: None)
    assert load_engine(None) is None


@pytest.mark.parametrize("files", [(), ("model.onnx",), ("tokenizer.json",)])
def test_folder_that_is_no_model_is_named(files: tuple[str, ...], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(ModelError) as caught:
        load_engine(tmp_path)
    expected = f"server.search_model: {tmp_path} is no folder with model.onnx and tokenizer.json"
    assert str(caught.value) == expected


def test_folder_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "tokenizer.json").touch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"needs the extra mcp-router\[semantic\]"):
        load_engine(tmp_path)


def test_a_load_leaves_the_interpreter_to_others_often_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile: list[float] = []

    def load_folder(_: Path) -> None:
        meanwhile.append(sys.getswitchinterval())
        raise ModelError

    monkeypatch.setattr("router.search.semantic.onnx_model.load_folder", load_folder)
    before = sys.getswitchinterval()
    with pytest.raises(ModelError):
        load_engine(tmp_path)
    assert meanwhile[0] < before / 5
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize(
    ("query", "is_so"),
    [
        ("open a bug in jira", True),
        ("Größe der Dateien", True),
        ("打开一个 jira 问题", False),
        ("查询北京的天气", False),
        ("", True),
    ],
)
def test_queries_in_other_scripts_are_no_english(query: str, is_so: bool) -> None:
    assert is_mostly_ascii(query) == is_so


# --- Where the extra is installed ----------------------------------------------------------------


@pytest.fixture
def package() -> Any:
    for name in ("numpy", "onnxruntime", "tokenizers"):
        pytest.importorskip(name)
    return pytest.importorskip(PACKAGED_MODEL)


@pytest.fixture
def folder(package: Any, tmp_path: Path) -> Path:
    """A folder with the packaged model, as sentence-transformers would write it."""
    from router.search.semantic.onnx_model import VOCABULARY

    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").symlink_to(package.model_path())
    words = import_module("tokenizers").BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
    words.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.usefixtures("package")
def test_packaged_model_knows_what_is_meant() -> None:
    engine = load_engine(None)
    assert engine is not None
    engine.put((0, 300, 1), TEXTS)

    similarities = engine.compare("how do I get to the station", (0, 300, 1))

    assert similarities is not None
    assert similarities.index(max(similarities)) == 1
    assert engine.compare("怎么去车站", (0, 300, 1)) is None


def test_model_of_a_folder_is_the_same_model(folder: Path) -> None:
    packaged, own = load_engine(None), load_engine(folder)
    assert packaged is not None
    assert own is not None
    for engine in (packaged, own):
        engine.put((0, 1, 2), TEXTS)

    expected = packaged.compare("send a letter", (0, 1, 2))
    assert own.compare("send a letter", (0, 1, 2)) == pytest.approx(expected, abs=1e-5)
    assert own.compare("写信", (0, 1, 2)) is not None


def test_folder_says_how_its_model_is_used(folder: Path) -> None:
    plain = load_engine(folder)
    prompts = '{"prompts": {"query": "query: ", "document": "passage: "}}'
    (folder / "config_sentence_transformers.json").write_text(prompts)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    told = load_engine(folder)

    assert plain is not None
    assert told is not None
    for engine in (plain, told):
        engine.put((0,), TEXTS[:1])
    assert plain.compare("commit", (0,)) != told.compare("commit", (0,))


def test_broken_model_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").unlink()
    (folder / "onnx" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError) as caught:
        load_engine(folder)
    assert str(caught.value).startswith(f"server.search_model: the model in {folder} does not load")

"""Embeds texts with a model in the format ONNX: that of the extra, or one that a folder holds.

A folder is as sentence-transformers writes it. It has `model.onnx`, or `onnx/model.onnx`, and
`tokenizer.json`. Where they are there, `1_Pooling/config.json` says how the embedding of a text is
made from those of its tokens, and `config_sentence_transformers.json` has what the model wants
before queries and documents.

Invariant: it is imported by `loading` in a worker thread only.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import Struct

from router.files.json_files import read_bytes
from router.search.semantic.engine import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

MAX_TOKENS: Final = 128
"""Tokens of a text that the model sees; the texts of tools are rarely longer."""

MAX_CONFIG_BYTES: Final = 1_000_000
"""Much more than any file of settings beside a model has."""

VOCABULARY: Final = Path(__file__).with_name("vocabulary.txt")
"""The vocabulary of BERT (uncased), by Google, under the Apache License 2.0 (`vocabulary.LICENSE`).
The model of the extra was trained with it, and its package does not have it."""


class Prompts(Struct, frozen=True):
    """The texts that a model wants before others; see `config_sentence_transformers.json`."""

    query: str = ""
    document: str = ""
    passage: str = ""

    @property
    def before_document(self) -> str:
        """Return what it wants before a text that is no query."""
        return self.document or self.passage


class OnnxModel(Struct, frozen=True):
    """A loaded model.

    Attributes:
        session: the `InferenceSession` of onnxruntime.
        tokenizer: a tokenizer of tokenizers.
        numpy: the module.
        prompts: the texts that the model wants before others.
        takes_first: True if the embedding of a text is that of its first token; False for the mean.
    """

    session: Any
    tokenizer: Any
    numpy: Any
    prompts: Prompts
    takes_first: bool

    def embed(self, texts: Sequence[str], is_query: bool) -> Any:
        """Return an array with one row of length 1 for each text.

        Args:
            texts: queries, or the texts that these are compared with.
            is_query: True if they are queries.
        """
        before = self.prompts.query if is_query else self.prompts.before_document
        encodings = self.tokenizer.encode_batch([before + text for text in texts])
        numpy = self.numpy
        mask = numpy.array([one.attention_mask for one in encodings], "int64")
        given = {
            "input_ids": numpy.array([one.ids for one in encodings], "int64"),
            "attention_mask": mask,
            "token_type_ids": numpy.zeros_like(mask),
        }
        wanted = {one.name: given[one.name] for one in self.session.get_inputs()}
        vectors = self.session.run(None, wanted)[0]
        if vectors.ndim == 3:  # one for each token
            vectors = vectors[:, 0] if self.takes_first else _mean(vectors, mask[:, :, None])
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)


class _Config(Struct, frozen=True):
    prompts: Prompts = Prompts()


class _Pooling(Struct, frozen=True):
    pooling_mode_cls_token: bool = False


def load_packaged(package: str) -> OnnxModel:
    """Load the model of the extra.

    Raises:
        ModelError: a library is missing, or the package has another model.
    """
    runtime, tokenizers, numpy = _import_libraries()
    try:
        file = import_module(package).model_path()
        tokenizer = tokenizers.BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
        session = _open(runtime, file)
        return _tried(OnnxModel(session, tokenizer, numpy, Prompts(), takes_first=False))
    except Exception as exc:
        text = f"the model of {package} does not load ({exc}); install mcp-router[semantic] again"
        raise ModelError(text) from exc


def load_folder(folder: Path) -> OnnxModel:
    """Load the model of a folder.

    Raises:
        ModelError: a library or file is missing, or it is no model for texts.
    """
    files = (folder / "model.onnx", folder / "onnx" / "model.onnx")
    file = next((path for path in files if path.is_file()), None)
    words = folder / "tokenizer.json"
    if file is None or not words.is_file():
        text = f"server.search_model: {folder} is no folder with model.onnx and tokenizer.json"
        raise ModelError(text)
    runtime, tokenizers, numpy = _import_libraries()
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(words))
        prompts = _read(folder / "config_sentence_transformers.json", _Config).prompts
        takes_first = _read(folder / "1_Pooling" / "config.json", _Pooling).pooling_mode_cls_token
        session = _open(runtime, file)
        return _tried(OnnxModel(session, tokenizer, numpy, prompts, takes_first))
    except Exception as exc:
        text = f"server.search_model: the model in {folder} does not load: {exc}"
        raise ModelError(text) from exc


def _import_libraries() -> tuple[Any, Any, Any]:
    try:
        return (
            import_module("onnxruntime"),
            import_module("tokenizers"),
            import_module("numpy"),
        )
    except ImportError as exc:
        text = f"{exc}; a model needs the extra mcp-router[semantic]"
        raise ModelError(text) from exc


def _open(runtime: Any, file: Path) -> Any:
    options = runtime.SessionOptions()
    # Calls go on meanwhile, and need the other cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; it writes to stderr, not to the log
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _tried(model: OnnxModel) -> OnnxModel:
    """Return the model once it has embedded something."""
    model.tokenizer.enable_truncation(MAX_TOKENS)
    model.tokenizer.enable_padding()
    shape = model.embed(["a", "b c"], is_query=True).shape
    if len(shape) != 2 or shape[0] != 2:
        raise ValueError(f"it answers two texts with an array of the shape {shape}")
    return model


def _mean(vectors: Any, mask: Any) -> Any:
    return (vectors * mask).sum(1) / mask.sum(1).clip(1)


def _read(path: Path, kind: type[T]) -> T:
    """Return what a file says; the defaults if there is no such file."""
    try:
        return msgspec.json.decode(read_bytes(path, str(path), MAX_CONFIG_BYTES), type=kind)
    except FileNotFoundError:
        return kind()

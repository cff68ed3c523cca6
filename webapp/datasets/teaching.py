"""What the help page says about files, chapter by chapter; every kind of problem belongs to one of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """A part of the help page."""

    anchor: str
    title: str
    text: tuple[str, ...]
    """Paragraphs."""
    codes: str
    """Kinds of problems that it explains, without prefix."""
    example: str = ""

    @property
    def kinds(self) -> list[str]:
        return self.codes.split()


CHAPTERS = (
    Chapter(
        "columns",
        "What a row is",
        (
            "A row has a text and its label; a prompt and its completion; messages; a source and its target; or only "
            "a text. The columns may have any names: the upload asks which of them plays which part.",
            "Columns that play no part are passed over. A part that is needed must be there in every row, as text. A "
            "second text beside the first (pairs) may be missing.",
        ),
        "missing_column missing_field missing_optional unused_columns mapping task type_changed empty_text column_type "
        "column_as_text no_rows label_too_long",
        '{"text": "A fine film.", "label": "positive"}\n{"prompt": "Capital of France?", "completion": "Paris."}',
    ),
    Chapter(
        "encoding",
        "Encoding",
        (
            "Text is wanted in UTF-8; a byte order mark does no harm. UTF-16 is read where its mark says so. Any other "
            "encoding is shown line by line as it would read, and is converted only when somebody chooses it.",
            "A NUL character cannot be stored in a database's text, and half of a surrogate pair is no character. "
            "Other control characters than tab and line ends have no place in text.",
        ),
        "not_utf8 converted converted_utf16 nul_char nul_stripped bad_unicode_escape control_char old_mac_lines",
    ),
    Chapter(
        "json",
        "JSON and JSON Lines",
        (
            "One object a line, without indentation and without commas between the lines. One JSON array of objects is "
            "read, too. A key stands once in an object; numbers are finite and fit in 64 bits.",
        ),
        "json_syntax jsonl_multiline jsonl_two_values truncated duplicate_key not_a_number number_too_large too_deep "
        "not_an_object array_read array_too_large blank_lines line_too_long",
        '{"text": "first", "label": "a"}\n{"text": "second", "label": "b"}',
    ),
    Chapter(
        "csv",
        "CSV and TSV",
        (
            "The first line names the columns, each once, unless the upload is told that it is a row. The delimiter is "
            "found: comma, semicolon, tab or pipe. A value that holds the delimiter, a quote or a line end stands in "
            "quotes, and a quote inside it is doubled.",
            "Every row has as many values as the first line. A quote that never closes would swallow the rest of the "
            "file, so reading ends there.",
        ),
        "ragged_row unclosed_quote stray_quote field_too_long duplicate_column empty_column_name column_renamed "
        "column_dropped separator_line too_many_columns",
        'text,label\n"A comma, in quotes",pos\n"She said ""yes""",neg',
    ),
    Chapter(
        "chat",
        "Chats",
        (
            "Messages are a list of turns with role and content. Roles are system (first, if at all), user, assistant "
            "and tool. Without an answer of the assistant there is nothing to learn.",
            "Turns with from and value (ShareGPT) are converted when somebody chooses it. Images cannot be trained on.",
            "A base model's own chat template decides whether turns of one role may follow each other, whether a "
            "system message may stand later, and whether calls of tools are written. Such rows are a warning until "
            "somebody has them read with a base model; then they are an error if its template refuses them, and "
            "no job on the two is queued.",
        ),
        "sharegpt message_shape unknown_role no_assistant_turn system_not_first empty_messages multimodal_content "
        "tool_calls_unsupported turns_not_alternating template_refuses unused_message_keys",
        '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]}',
    ),
    Chapter(
        "labels",
        "Labels",
        (
            'At least two labels, each in several rows, and always written alike: 1 and "1", or yes and Yes, would be '
            "two labels or a mistake. Very many labels mean that another column was meant.",
            "Numbers are written plainly, as 1234.5: where one column also holds 1.234,5, 1,234.5 or 12 %, one number "
            "could be two labels. They are converted when somebody chooses it, and saw how they would read.",
            "Where one label has more than twenty times the rows of another, accuracy says little; look at F1 as well.",
        ),
        "one_class class_too_small mixed_label_types too_many_classes labels_differ_by_space labels_unbalanced "
        "number_format numbers_converted",
    ),
    Chapter(
        "split",
        "Rows held out",
        (
            "A tenth of the rows is held out for evaluation unless something else is chosen: another share with a "
            "seed, a column that says train or eval, or a second file. A share is drawn from each label, and equal "
            "rows stay on one side, so that no answer leaks.",
        ),
        "split split_value duplicate_row leaked_row repeats_left_out leaks_left_out no_train_rows",
    ),
    Chapter(
        "tokens",
        "Tokens and long rows",
        (
            "How long a row is depends on the base model's tokenizer, so a worker reads the rows with it, before or "
            "after they are saved. A training cuts rows at its longest length, or leaves longer ones out; what is "
            "chosen with the dataset is what its jobs start with.",
            "The loss looks at the answers. Where a cut or an empty answer leaves nothing for it, a training leaves "
            "the row out; where that is so in every row, no job is queued.",
        ),
        "too_long no_trainable_tokens",
    ),
    Chapter(
        "parquet",
        "Parquet and Arrow",
        (
            "Read in small batches, whatever the file says about itself. Lists and structs are read as chats, dates "
            "and decimals as text; binary columns are passed over.",
        ),
        "parquet_damaged arrow_damaged unsupported_compression encrypted_file too_many_row_groups",
    ),
    Chapter(
        "archives",
        "Archives and other files",
        (
            "A file may come as .gz, or in a .zip; of several in one zip somebody chooses. Archives in archives, links "
            "and names that lead elsewhere are never opened, and unpacking stops at a limit.",
            "What a file is shows in its content, not in its name. Save a workbook's sheet as CSV.",
        ),
        "several_files entry archive_type archive_damaged nested_archive unsafe_archive too_many_entries "
        "expands_too_far wrong_type empty_file",
    ),
    Chapter(
        "limits",
        "Limits",
        ("Every refusal names its limit and what was found. A check runs apart, with limits of its own.",),
        "too_many_rows check_too_long parser_died check_failed upload_damaged file_name",
    ),
)
HELP = "/datasets/help/"
ANCHORS = {code: chapter.anchor for chapter in CHAPTERS for code in chapter.kinds}


def docs_of(code: str) -> str:
    """Where the help page explains a kind of problem."""
    anchor = ANCHORS.get(code, "")
    return f"{HELP}#{anchor}" if anchor else ""

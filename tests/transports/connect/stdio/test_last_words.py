"""The lines on stderr that tell why a process ended, from what real programs say."""

from __future__ import annotations

from textwrap import dedent

import pytest

from transports.connect.stdio.last_words import MAX_LINES, last_words


def words(text: str) -> list[str]:
    """The last words of a process that said `text`."""
    return list(last_words(dedent(text).split("\n")))


# --- Plain lines -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", []),
        ("\n  \n", []),
        ("one\n", ["one"]),
        ("one\ntwo\nthree\nfour\n", ["two", "three", "four"]),
        ("one\n\n---\n   two  \n======\n", ["one", "two"]),
        ("  ^^^\nbad config:\n  key = [\n        ^\n", ["bad config:"]),
        ("same\nsame\nsame\nend\n", ["same", "end"]),
        ("启动失败,找不到密钥\n", ["启动失败,找不到密钥"]),
    ],
)
def test_the_last_lines_with_words_are_returned(said: str, expected: list[str]) -> None:
    assert words(said) == expected


def test_colours_and_other_control_characters_are_taken_out() -> None:
    said = (
        "\x1b[1m\x1b[31mError:\x1b[0m no \x1b]8;;https://x.test\x1b\\token\x1b]8;;\x1b\\\x1b[K\x07"
    )
    assert words(said) == ["Error: no token"]


def test_of_a_line_that_was_written_anew_the_last_text_counts() -> None:
    assert words("connecting 1\rconnecting 2\rgave up\r\n") == ["gave up"]


def test_an_error_that_goes_on_for_many_lines_keeps_its_first() -> None:
    fields = "".join(f"field{n}\n  Field required [type=missing]\n" for n in range(10))
    assert words(f"loading\nValidationError: 10 errors\n{fields}") == [
        "ValidationError: 10 errors",
        "field9",
        "Field required [type=missing]",
    ]


# --- Python ----------------------------------------------------------------------------------


def test_of_a_traceback_its_error_is_returned_and_the_line_before_it() -> None:
    said = """\
    INFO:server:reading the configuration
    Traceback (most recent call last):
      File "server.py", line 9, in <module>
        main()
      File "server.py", line 5, in main
        key = os.environ["API_KEY"]
              ~~~~~~~~~~^^^^^^^^^^^
      File "<frozen os>", line 679, in __getitem__
      [Previous line repeated 3 more times]
    KeyError: 'API_KEY'
    """
    assert words(said) == ["INFO:server:reading the configuration", "KeyError: 'API_KEY'"]


def test_of_chained_tracebacks_both_errors_are_returned() -> None:
    said = """\
    Traceback (most recent call last):
      File "server.py", line 3, in connect
        socket.create_connection(address)
    ConnectionRefusedError: [Errno 111] Connection refused

    The above exception was the direct cause of the following exception:

    Traceback (most recent call last):
      File "server.py", line 8, in <module>
        connect()
    RuntimeError: the database is out of reach
    """
    assert words(said) == [
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "RuntimeError: the database is out of reach",
    ]


def test_of_an_exception_group_the_errors_in_it_are_returned() -> None:
    said = """\
      + Exception Group Traceback (most recent call last):
      |   File "server.py", line 9, in <module>
      |     main()
      |     ^^^^^^
      | ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)
      +-+---------------- 1 ----------------
        | Exception Group Traceback (most recent call last):
        |   File "server.py", line 5, in run
        |     raise ExceptionGroup(...)
        | ExceptionGroup: inner (1 sub-exception)
        +-+---------------- 1 ----------------
          | Traceback (most recent call last):
          |   File "server.py", line 5, in send
          |     raise BrokenResourceError("the stream is closed")
          | anyio.BrokenResourceError: the stream is closed
          +------------------------------------
        +---------------- 2 ----------------
        | Traceback (most recent call last):
        |   File "server.py", line 7, in read
        | ValueError: bad header
        +------------------------------------
    """
    assert words(said) == [
        "anyio.BrokenResourceError: the stream is closed",
        "ValueError: bad header",
    ]


def test_a_group_of_which_nothing_else_is_known_is_better_than_nothing() -> None:
    assert words("ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n") == [
        "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)"
    ]


def test_an_old_sdk_that_dies_of_an_unknown_request_names_the_request() -> None:
    said = """\
          | Traceback (most recent call last):
          |   File "session.py", line 307, in _receive_loop
          |     validated_request = self._receive_request_type.model_validate(
          | pydantic_core._pydantic_core.ValidationError: 24 validation errors for ClientRequest
    CallToolRequest.params.name
      Field required [type=missing, input_value={}, input_type=dict]
        For further information visit https://errors.pydantic.dev/2.11/v/missing
    ListToolsRequest.method
      Input should be 'tools/list' [type=literal_error, input_value='server/discover']
        For further information visit https://errors.pydantic.dev/2.11/v/literal_error
          +------------------------------------
    """
    assert words(said) == [
        "pydantic_core._pydantic_core.ValidationError: 24 validation errors for ClientRequest",
        "ListToolsRequest.method",
        "Input should be 'tools/list' [type=literal_error, input_value='server/discover']",
    ]


def test_a_missing_setting_is_named() -> None:
    said = """\
    Traceback (most recent call last):
      File "settings.py", line 280, in __init__
        validated_self = self.__pydantic_validator__.validate_python(data, self_instance=self)
                         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
    api_key
      Field required [type=missing, input_value={}, input_type=dict]
        For further information visit https://errors.pydantic.dev/2.14/v/missing
    """
    assert words(said) == [
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings",
        "api_key",
        "Field required [type=missing, input_value={}, input_type=dict]",
    ]


def test_a_syntax_error_is_returned_without_its_source() -> None:
    said = """\
      File "/srv/server.py", line 1
        def f(
             ^
    SyntaxError: '(' was never closed
    """
    assert words(said) == ["SyntaxError: '(' was never closed"]


def test_warnings_of_python_are_no_reason() -> None:
    said = """\
    /usr/lib/python3/x.py:51: DeprecationWarning: use y instead
      warnings.warn(  # noqa: B028
    no licence was found
    """
    assert words(said) == ["no licence was found"]


# --- Boxes -----------------------------------------------------------------------------------


def test_the_sentence_in_a_box_is_returned() -> None:
    said = """\
    Usage: server [OPTIONS]
    Try 'server --help' for help.
    ╭─ Error ──────────────────────────────────────────────────────╮
    │ Missing option '--api-key'.                                  │
    ╰──────────────────────────────────────────────────────────────╯
    """
    assert words(said) == [
        "Usage: server [OPTIONS]",
        "Try 'server --help' for help.",
        "Missing option '--api-key'.",
    ]


def test_a_traceback_in_a_box_is_skipped() -> None:
    said = """\
    ╭───────────────────── Traceback (most recent call last) ──────────────────────╮
    │ /srv/server.py:4 in <module>                                                 │
    │ ❱ 4 f()                                                                      │
    │ ╭─ locals ─╮                                                                 │
    │ │ x = 1    │                                                                 │
    │ ╰──────────╯                                                                 │
    ╰──────────────────────────────────────────────────────────────────────────────╯
    ValueError: nope
    """
    assert words(said) == ["ValueError: nope"]


def test_a_banner_is_no_reason() -> None:
    said = """\
    ╭──────────────────────────────────────╮
    │              FastMCP 2.14            │
    │   🚀 Deploy free: https://x.test     │
    ╰──────────────────────────────────────╯
    [11/30/26 03:46:37] INFO     Starting MCP server 'x'
    """
    assert words(said) == ["[11/30/26 03:46:37] INFO     Starting MCP server 'x'"]


# --- JavaScript ------------------------------------------------------------------------------


def test_of_a_stack_of_node_its_error_is_returned() -> None:
    said = """\
    /srv/server.js:2
    throw new Error("API key is required");
    ^

    Error: API key is required
        at Object.<anonymous> (/srv/server.js:2:7)
        at Module._compile (node:internal/modules/cjs/loader:1521:14)
        at async Promise.all (index 0)
        at node:internal/main/run_main_module:28:49

    Node.js v20.20.2
    """
    assert words(said) == ["Error: API key is required"]


def test_the_properties_of_an_error_of_node_are_skipped() -> None:
    said = """\
    node:internal/modules/cjs/loader:1210
      throw err;
      ^

    Error: Cannot find module '/srv/server.js'
        at Module._resolveFilename (node:internal/modules/cjs/loader:1207:15)
        at node:internal/main/run_main_module:28:49 {
      code: 'MODULE_NOT_FOUND',
      requireStack: []
    }

    Node.js v20.20.2
    """
    assert words(said) == ["Error: Cannot find module '/srv/server.js'"]


def test_an_error_event_that_nobody_handled_is_returned() -> None:
    said = """\
    Listening soon
    node:events:502
          throw er; // Unhandled 'error' event
          ^

    Error: listen EADDRINUSE: address already in use :::3000
        at Server.setupListenHandle [as _listen2] (node:net:1886:21)
    Emitted 'error' event on Server instance at:
        at emitErrorNT (node:net:1944:8) {
      code: 'EADDRINUSE',
      port: 3000
    }

    Node.js v20.20.2
    """
    assert words(said) == [
        "Listening soon",
        "Error: listen EADDRINUSE: address already in use :::3000",
    ]


# --- Package managers ------------------------------------------------------------------------


@pytest.mark.parametrize("npm", ["npm error", "npm ERR!"])
def test_of_npm_the_error_is_returned_without_advice(npm: str) -> None:
    said = f"""\
    npm notice New major version of npm available! 10.8.2 -> 11.6.0
    npm warn deprecated node-domexception@1.0.0: Use the platform's native one
    {npm} code E404
    {npm} 404 Not Found - GET https://registry.npmjs.org/@x%2fy - Not found
    {npm} 404
    {npm} 404  '@x/y@*' is not in this registry.
    {npm} 404
    {npm} 404 Note that you can also install from a
    {npm} 404 tarball, folder, http url, or git url.
    {npm} A complete log of this run can be found in: /root/.npm/_logs/0-debug-0.log
    """
    assert words(said) == [
        f"{npm} 404 Not Found - GET https://registry.npmjs.org/@x%2fy - Not found",
        f"{npm} 404  '@x/y@*' is not in this registry.",
    ]


def test_of_a_trampled_cache_of_npm_the_sentence_is_returned() -> None:
    said = """\
    npm error code ENOTEMPTY
    npm error syscall rename
    npm error path /root/.npm/_npx/1/node_modules/x
    npm error dest /root/.npm/_npx/1/node_modules/.x-1
    npm error errno -39
    npm error ENOTEMPTY: directory not empty, rename '/root/.npm/_npx/1/node_modules/x'
    """
    assert words(said) == [
        "npm error ENOTEMPTY: directory not empty, rename '/root/.npm/_npx/1/node_modules/x'"
    ]


def test_of_uv_the_sentences_are_returned_without_signs() -> None:
    said = """\
    Downloading cryptography (4.5MiB)
     Downloaded cryptography
    Installed 29 packages in 33ms
      \u00d7 No solution found when resolving tool dependencies:
      ╰─▶ Because no-such was not found in the package registry and you require
          no-such, we can conclude that your requirements are unsatisfiable.
    """
    assert words(said) == [
        "No solution found when resolving tool dependencies:",
        "Because no-such was not found in the package registry and you require",
        "no-such, we can conclude that your requirements are unsatisfiable.",
    ]


@pytest.mark.parametrize(
    "bar",
    [
        "   ━━━━━━━━━━━━━━━╸━━━━━━━━━━━━ 1.2/2.4 MB 5.6 MB/s eta 0:00:01",
        " 50%|█████     | 5/10 [00:00<00:00, 9.8it/s]",
        "[=====>      ] 40%",
        "\x1b[2K\rcryptography ------------------------------ 1.2 MiB/4.5 MiB, 3.1 MiB/s",
        "Downloading torch (800MiB)",
        "added 12 packages in 3s",
        "0123456789ab: Pull complete",
    ],
)
def test_progress_is_no_reason_if_anything_else_was_said(bar: str) -> None:
    assert words(f"no space left\n{bar}\n") == ["no space left"]


def test_progress_is_what_is_left_of_a_start_that_was_cut_off() -> None:
    said = "Downloading numpy (15MiB)\nDownloading torch (800MiB)\n---\n"
    assert words(said) == ["Downloading torch (800MiB)"]


def test_a_spinner_is_taken_out() -> None:
    assert words("⠙ Resolving dependencies\n✖ it failed\n") == [
        "Resolving dependencies",
        "it failed",
    ]


def test_an_error_about_a_download_is_an_error() -> None:
    assert words("Downloading torch failed: timeout\n") == ["Downloading torch failed: timeout"]


# --- Others ----------------------------------------------------------------------------------


def test_of_a_panic_of_rust_place_and_message_are_returned() -> None:
    said = """\
    thread 'main' (3481) panicked at src/main.rs:1:64:
    called `Result::unwrap()` on an `Err` value: "no key"
    stack backtrace:
       0: __rustc::rust_begin_unwind
                 at /rustc/5980/library/std/src/panicking.rs:689:5
       1: server::main
    note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
    """
    assert words(said) == [
        "thread 'main' (3481) panicked at src/main.rs:1:64:",
        'called `Result::unwrap()` on an `Err` value: "no key"',
    ]


def test_of_a_stack_of_java_the_errors_are_returned() -> None:
    said = (
        'Exception in thread "main" java.lang.IllegalStateException: API_KEY missing\n'
        "\tat com.example.Main.main(Main.java:5)\n"
        "Caused by: java.io.IOException: no such key\n"
        "\tat com.example.Keys.read(Keys.java:9)\n"
        "\t... 12 more\n"
    )
    assert words(said) == [
        'Exception in thread "main" java.lang.IllegalStateException: API_KEY missing',
        "Caused by: java.io.IOException: no such key",
    ]


def test_of_a_panic_of_go_the_message_is_returned() -> None:
    said = (
        "2026/11/30 03:40:25 listening\n"
        "panic: runtime error: invalid memory address or nil pointer dereference\n"
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x480b4a]\n"
        "\n"
        "goroutine 1 [running]:\n"
        "main.run(...)\n"
        "\t/srv/main.go:5 +0x18\n"
        "main.main()\n"
        "\t/srv/main.go:9 +0x11\n"
        "\n"
        "goroutine 18 [chan receive]:\n"
        "created by main.main in goroutine 1\n"
        "exit status 2\n"
    )
    assert words(said) == [
        "2026/11/30 03:40:25 listening",
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x480b4a]",
    ]


def test_what_comes_after_a_stack_is_read_again() -> None:
    said = "goroutine 1 [running]:\nmain.main()\n\t/srv/main.go:9 +0x11\nmain: giving up now\n"
    assert words(said) == ["main: giving up now"]


def test_never_more_than_a_few_lines_are_returned() -> None:
    assert len(words("error: it failed\n" * 2 + "".join(f"l{n}\n" for n in range(50)))) == MAX_LINES

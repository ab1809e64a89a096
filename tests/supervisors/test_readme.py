"""The example in the README runs and says what stands below it."""

import re
import subprocess
import sys
from pathlib import Path

import supervisors

FOLDER = Path(supervisors.__file__).parent


def code_blocks(language: str) -> list[str]:
    readme = (FOLDER / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)


def without_chance(lines: str) -> list[str]:
    """Return the lines without the digits that the jitter changes, by child.

    The order of the two children is Trio's to choose; that of the events of one child is not.
    """
    plain = (re.sub(r"_in_s=\d[\d.]*", "_in_s=…", line) for line in lines.splitlines())
    return sorted(plain, key=lambda line: "bomb" in line)


def test_the_example_runs_and_says_what_stands_below_it() -> None:
    (example,), (shown,) = code_blocks("python"), code_blocks("text")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=True
    )
    assert without_chance(done.stdout) == without_chance(shown)
    assert done.stderr == ""


def test_the_package_is_typed() -> None:
    assert (FOLDER / "py.typed").exists()


def test_the_readme_names_each_module() -> None:
    readme = (FOLDER / "README.md").read_text()
    modules = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}
    assert {module for module in modules if f"`{module}`" in readme} == modules

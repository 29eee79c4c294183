"""Run a table or figure of the paper's appendix: the space of that name in search_spaces/paper/.

python sweeps/paper.py table6 --budget quick
python sweeps/paper.py table6 --budget paper --address auto
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import argcomplete

from analysis.streams import open_streams
from sweeps import phase_transition


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for input that cannot be used."""
    import search_spaces

    open_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    names = search_spaces.names("paper")
    argcomplete.autocomplete(_completed(names), exclude=["--space"])
    if given and not given[0].startswith("-"):
        name = given.pop(0)
        if name not in names:
            print(
                f"error: no table or figure {name}{search_spaces.nearest(name, names)}; "
                f"there are {', '.join(names)}",
                file=sys.stderr,
            )
            return 2
        no_space = argparse.Namespace(space=None)  # instead of the option's default
        if phase_transition.parser().parse_args(given, no_space).space is not None:
            print(f"error: --space with {name}, which is one; leave it out", file=sys.stderr)
            return 2
        return phase_transition.main(["--space", f"paper/{name}", *given])
    if given in (["-h"], ["--help"]):
        called = Path(sys.argv[0]).name
        print(f"usage: {called} NAME [options]\n\nNAME is one of {', '.join(names)}. The options are:\n")
        return phase_transition.main(["--help"])
    print(f"error: name a table or figure first: {', '.join(names)}", file=sys.stderr)
    return 2


def _completed(names: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser by which a shell completes the command: a name, then the options of a sweep."""
    result = phase_transition.parser()
    result.add_argument("name", choices=names)
    return result


def command() -> None:
    """Run the command line and leave: what the script and the installed `ouvae-paper` do."""
    phase_transition.leave(main)


if __name__ == "__main__":
    command()

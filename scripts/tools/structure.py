"""Figures of the code's structure: folders, circles, late imports, signatures, classes, public names, words of the README.

python scripts/tools/structure.py            # of this checkout
python scripts/tools/structure.py FOLDER     # of another one, such as an older state
"""

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("redact_core", "modalities", "lightning_modules")
MOST = 8
"""Parameters of a signature."""


def modules(root: Path) -> dict[str, ast.Module]:
    """Dotted name -> syntax tree of every module of the packages."""
    found: dict[str, ast.Module] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.AST, known: set[str], *, late: bool) -> Iterator[str]:
    """Modules of ours that are imported, in functions too where ``late`` says so; those for types alone are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from (name for part in node.orelse for name in imports(part, known, late=late))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known or node.module in known:
                    yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, known, late=late)


def graph(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Module -> those that it imports, anywhere. A package and its own modules import one another without a circle."""
    known, found = set(trees), dict[str, set[str]]()
    for name, tree in trees.items():
        others = set(imports(tree, known, late=True)) - {name}
        found[name] = {x for x in others if not x.startswith(f"{name}.") and not name.startswith(f"{x}.")}
    return found


def circles(ways: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach one another (Tarjan 1972)."""
    number, low = dict[str, int](), dict[str, int]()
    stack, found = list[str](), list[list[str]]()

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in ways[name]:
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in ways:
        if name not in number:
            visit(name)
    return found


def parameters(node: ast.FunctionDef) -> list[str]:
    """Names of the parameters, without the object's own."""
    given = node.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def members(node: ast.ClassDef) -> set[str]:
    """Public names that a class body binds or declares."""
    found: set[str] = set()
    for part in node.body:
        if isinstance(part, ast.FunctionDef):
            found.add(part.name)
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            found.add(part.target.id)
        elif isinstance(part, ast.Assign):
            found |= {target.id for target in part.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def public(tree: ast.Module) -> int:
    """How many names ``__all__`` lists."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(x, "id", "") == "__all__" for x in node.targets):
            return len(ast.literal_eval(node.value))
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[2])
    root: Path = parser.parse_args().folder
    trees = modules(root)
    known = set(trees)
    folders = Counter(
        path.parent.relative_to(root)
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if path.stem != "__init__"
    )
    functions = [
        (len(parameters(node)), f"{name}.{node.name}")
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    classes = [
        (len(members(node)), f"{name}.{node.name}")
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    late = sum(
        len(list(imports(tree, known, late=True))) - len(list(imports(tree, known, late=False)))
        for tree in trees.values()
    )
    found = circles(graph(trees))
    wide = sorted((entry for entry in functions if entry[0] > MOST), reverse=True)
    (folder, count), *_ = folders.most_common(1)
    tests = Counter(path.parent.relative_to(root) for path in (root / "tests").rglob("test_*.py"))
    print(f"modules: {len(trees)}")
    print(f"longest folder: {folder}, {count} modules")
    print(f"longest folder of tests: {tests.most_common(1)[0][0]}, {tests.most_common(1)[0][1]} files")
    print(f"circles: {len(found)}", *(f"  {' '.join(group)}" for group in found), sep="\n")
    print(f"imports of ours inside functions: {late}")
    print(
        f"signatures of more than {MOST} parameters: {len(wide)}", *(f"  {n} {x}" for n, x in wide), sep="\n"
    )
    print(f"members of the widest class: {max(classes)[0]}, {max(classes)[1]}")
    print(f"public names of redact_core: {public(trees['redact_core'])}")
    print(f"words of README.md: {len((root / 'README.md').read_text(encoding='utf-8').split())}")


if __name__ == "__main__":
    main()

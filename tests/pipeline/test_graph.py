"""The graph itself: dependencies cover the imports, the size stays in budget, outputs are declared as they must."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reprise import jobs

ROOT = Path(__file__).parents[2]
STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
SCRIPT = re.compile(r"python (stages/\S+\.py)")


WINGS = sorted(path.parent for path in (ROOT / "src/reprise").glob("*/claims.py"))
FOUND_BY_NAME = {"claims": ["claims.py"], "report": ["claims.py", "page.py"]}  # modules of every wing, imported by name


def script(stage: dict) -> Path:
    return ROOT / SCRIPT.match(stage["cmd"]).group(1)


def code(name: str) -> set[Path]:
    """Files of the package that the stage runs: imported, imported by name, or in a folder it depends on."""
    stage = STAGES[name]
    roots = [script(stage)]
    roots += [wing / module for wing in WINGS for module in FOUND_BY_NAME.get(name, []) if (wing / module).exists()]
    folders = [ROOT / dep for dep in stage["deps"] if (ROOT / dep).is_dir() and dep.startswith("src/")]
    roots += [path for folder in folders for path in folder.rglob("*.py")]
    found = set().union(*(jobs.imports(path) for path in roots))
    return {path for path in found if path.read_text().strip()}  # an empty file changes nothing


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_cover_every_import(name: str) -> None:
    deps = [ROOT / dep for dep in STAGES[name]["deps"]]
    missing = [
        str(path.relative_to(ROOT))
        for path in code(name)
        if not any(dep == path or dep in path.parents for dep in deps)
    ]
    assert not missing, f"{name} imports files it does not depend on; add to its deps in dvc.yaml: {sorted(missing)}"


@pytest.mark.parametrize("name", STAGES)
def test_no_dependency_on_code_that_is_not_imported(name: str) -> None:
    listed = [ROOT / dep for dep in STAGES[name]["deps"] if dep.endswith(".py")]
    idle = [str(path.relative_to(ROOT)) for path in listed if path not in code(name)]
    assert not idle, f"{name} would rerun for nothing when these change: {idle}"


def test_every_script_is_a_stage_and_no_other() -> None:
    assert {script(stage) for stage in STAGES.values()} == set((ROOT / "stages").rglob("*.py"))


def test_metrics_and_plots_keep_the_run_cache_on() -> None:
    for name, stage in STAGES.items():
        for kind in ("metrics", "plots"):
            for entry in stage.get(kind, []):
                assert isinstance(entry, dict) and all(flags.get("cache") is False for flags in entry.values()), name
        for entry in stage.get("outs", []):
            path, flags = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
            in_git = path == "reports/claims.md" or path.startswith("reports/plots/")
            assert "persist" not in flags and (flags.get("cache", True) or in_git), name


def test_at_most_one_axis_of_scalars_per_stage_and_sixty_stages() -> None:
    params = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    total = 0
    for stage in STAGES.values():
        axes = stage.get("matrix", {})
        assert len(axes) <= 1
        sizes = []
        for axis in axes.values():
            node = params
            for key in axis.removeprefix("${").removesuffix("}").split("."):
                node = node[key]
            assert all(isinstance(item, str | int) for item in node)
            sizes.append(len(node))
        total += sizes[0] if sizes else 1
    assert total <= 60, f"{total} stages, each of which costs DVC itself a second or two"


def test_a_generated_data_set_has_one_stage_and_no_raw_files() -> None:
    """`generate` is `prepare` without `data/raw`, over the other list of data sets."""
    fetched, generated = STAGES["prepare"], STAGES["generate"]
    assert STAGES["download"]["matrix"] == fetched["matrix"] == {"name": "${common.fetched}"}
    assert generated["matrix"] == {"name": "${common.generated}"}
    assert [dep for dep in fetched["deps"] if dep not in generated["deps"]] == ["data/raw/${item.name}"]
    assert {*generated["deps"]} < {*fetched["deps"]}
    assert all(generated[key] == fetched[key] for key in ("cmd", "params", "outs"))


def test_one_direction() -> None:
    """A stage's outputs lie in one later folder than what it reads; shared modules import no wing; wings no other."""
    wings = {path.parent.name for path in (ROOT / "src/reprise").glob("*/params.py")}
    for path in (ROOT / "src/reprise").rglob("*.py"):
        own = path.relative_to(ROOT / "src/reprise").parts[0]
        found = set(re.findall(r"(?:from|import) reprise\.(\w+)", path.read_text())) & wings
        assert found <= {own}, f"{path} imports the wing {found - {own}}"


def test_heavy_imports_stay_out_of_light_stages() -> None:
    light = {"download", "prepare", "generate", "claims", "report"}
    light |= {"fairness-merge", "fairness-evaluate", "fairness-report"}
    for name in light & set(STAGES):
        for path in code(name):
            assert not re.search(r"^(import|from) (torch|pytorch_lightning)\b", path.read_text(), re.M), (name, path)

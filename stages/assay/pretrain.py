"""Stage `assay-pretrain`: the architectures every network of a seed starts from, pretrained on the upstream task."""

from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from reprise import architectures, jobs, params, results
from reprise.assay import plan
from reprise.assay.params import load
from reprise.data.arrays import aside, open_prepared
from reprise.errors import UserError, run_stage


def main() -> None:
    block, seed = load(), params.load_common().seed
    source = Path("data/prepared", block.upstream.dataset)
    data = open_prepared(source)
    wanted = [(model, draw) for draw in block.seeds for model in block.architectures]
    todo = []
    for model, draw in wanted:
        recipe = block.upstream.recipes.get(model)
        if recipe is None and not model.startswith("assay.timm/"):
            architectures.builder(model)  # says so if there is none
            raise UserError(f"architecture {model} brings no weights: give it a recipe in assay.upstream.recipes")
        settings = recipe.model_dump() if recipe else None
        todo.append({"model": model, "folder": str(source), "draw": draw, "seed": seed, "recipe": settings})
    inputs = [data.digest, *(architectures.fingerprint(model) for model in block.architectures)]
    labels = [f"{model}.s{draw}" for model, draw in wanted]
    done = jobs.run("assay-pretrain", "reprise.assay.pretrain:start", todo, inputs=inputs, labels=labels)
    with aside(Path("data/models/assay/pretrain")) as folder:
        known = []
        for (model, draw), label, path in zip(wanted, labels, done, strict=True):
            weights = jobs.load(path)
            error = weights.pop("upstream_error", None)
            save_file(weights, folder / plan.start_of(label))
            about: dict[str, Any] = {"model": plan.name_of(model), "seed": draw}
            about["n_params"] = sum(value.size for value in weights.values())
            known.append(about if error is None else about | {"error": float(error)})
        results.write_json({"architectures": known}, folder / "upstream.json")
    jobs.prune("assay-pretrain", done)


if __name__ == "__main__":
    run_stage(main)

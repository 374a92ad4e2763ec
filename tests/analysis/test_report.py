"""The report: what is in the file equals the tables, and the page in a browser shows it. No Ray is needed."""

import base64
import contextlib
import hashlib
import io
import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch

from amc_core import AmcError
from analysis import PAIRED, Results, accuracy_by, load, significance, train_test
from analysis import compare as compare_module
from analysis import report as report_module
from analysis.published import Published
from analysis.report import LARGEST_CONFUSION, held_studies, study_data, write
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.search import proposal_table
from sweeps.store import Store
from sweeps.study import load_study
from tests.needs import needs, needs_package
from tests.sweeps.searching import drive

TITLES = {"hoc_svm": "HOC-SVM", "mod_lcnn": "Mod-LCNN"}
DESCRIPTION = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- ü & 'so' on"
STUDY = f"""
description: {json.dumps(DESCRIPTION)}
modulations: [BPSK, 16QAM, GFSK]
snr_db: [0, 6, 18]
instances: 20
length: 128
models: [hoc_svm, mod_lcnn]
recipe: {{epochs: 3, batch_size: 16}}
seeds: [0, 1]
train: {{channel: [awgn, rayleigh]}}
test: {{channel: [awgn, rician], upsampling: [4, 8, 10.67]}}
"""


def fill(path: Path, store: Path, runs: int | None = None) -> None:
    torch.set_num_threads(1)
    study = load_study(str(path))
    for plan in make_plan(study, Store(store)).incomplete[:runs]:
        list(compute(plan.run, study.tests(plan.run), Store(store)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with a study file, and a store that holds all of it."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "fading.yaml").write_text(STUDY)
    fill(folder / "fading.yaml", folder / "store")
    return folder


@pytest.fixture(scope="module")
def study(place):
    return str(place / "fading.yaml"), load_study(str(place / "fading.yaml"))


class Elements(HTMLParser):
    """Start tags of a page with their attributes, and the text of its scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.scripts, self.title, self.inside = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, text):
        if self.inside == "script":
            self.scripts.append(text)
        elif self.inside == "title":
            self.title += text


def embedded(path: Path) -> dict:
    return json.loads(Elements(path.read_text(encoding="utf-8")).scripts[0])


def unpacked(pack: dict) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(pack["data"])), np.dtype(pack["type"]).newbyteorder("<"))


@pytest.fixture(scope="module")
def written(place, study):
    return write(place / "report.html", place / "store", [study])


# -- the data ------------------------------------------------------------------------------------------------


def test_the_counts_in_the_page_are_those_of_the_cells_table(written, place):
    data, cells = embedded(written)["studies"][0], load("cells", place / "store")
    shape = len(data["cells"]), len(data["snrs"])
    for name in ("n", "correct"):
        counts = pd.DataFrame(unpacked(data[name]).reshape(shape), index=data["cells"], columns=data["snrs"])
        expected = cells.pivot(index="cell", columns="snr_db", values=name)
        assert counts.loc[expected.index].to_numpy().tolist() == expected.to_numpy().tolist()
    runs = [data["runs"][i]["key"] for i in unpacked(data["run"])]
    assert runs == cells.drop_duplicates("cell").set_index("cell")["run"].loc[data["cells"]].tolist()


def test_the_fields_in_the_page_are_those_that_vary_with_the_values_of_the_cells_table(written, place):
    data, cells = embedded(written)["studies"][0], load("cells", place / "store").drop_duplicates("cell")
    assert [f["name"] for f in data["fields"]] == ["model", "train_channel", "seed", "test_channel", "test_upsampling"]
    own = cells.set_index("cell").loc[data["cells"]]
    for field in data["fields"][1:]:
        told = [f"{value:g}" if isinstance(value, float) else str(value) for value in own[field["name"]]]
        assert [field["values"][code] for code in unpacked(field["codes"])] == told
    upsampling = data["fields"][-1]
    assert upsampling["values"] == ["4", "8", "10.67"] and upsampling["label"] == "test samples per symbol L"


def test_the_confusion_counts_in_the_page_are_those_of_the_confusion_table(written, place):
    data, long = embedded(written)["studies"][0], load("confusion", place / "store")
    order = {name: i for i, name in enumerate(data["modulations"])}
    long = long.assign(sent=long["sent"].map(order), recognised=long["recognised"].map(order))
    square = len(data["snrs"]), len(order), len(order)
    of_run = [unpacked(pack).reshape(-1, *square) for pack in data["confusion"]]
    counts = dict(zip(data["cells"], np.concatenate(of_run), strict=True))
    assert len(long) == sum(array.size for array in of_run)
    for row in long.itertuples():
        assert counts[row.cell][data["snrs"].index(row.snr_db), row.sent, row.recognised] == row.count


def test_learning_curves_and_outcomes_in_the_page_are_those_of_the_tables(written, place):
    data, epochs = embedded(written)["studies"][0], load("epochs", place / "store")
    runs = load("runs", place / "store").set_index("run")
    for run in data["runs"]:
        own = epochs[epochs["run"] == run["key"]]
        assert run["curves"]["epoch"] == own["epoch"].tolist()
        assert run["curves"]["validation_loss"] == pytest.approx(own["validation_loss"].tolist(), rel=1e-3)
        assert run["seconds"] == runs.loc[run["key"], "seconds"] and run["seed"] == runs.loc[run["key"], "seed"]


def test_best_and_worst_unseen_settings_leave_the_setting_of_training_out(written, place):
    data, cells = embedded(written)["studies"][0], load("cells", place / "store")
    trained = (cells["train_channel"] == cells["test_channel"]) & (cells["test_upsampling"] == 8)
    codes = {field["name"]: field["values"] for field in data["fields"]}
    for row, model in zip(data["summary"], ("hoc_svm", "mod_lcnn"), strict=True):
        own, by = cells[~trained & (cells["model"] == model)], ["train_channel", "test_channel", "test_upsampling"]
        pooled = accuracy_by(own, by)
        assert row["best"]["accuracy"] == pooled["accuracy"].max()
        assert row["worst"]["accuracy"] == pooled["accuracy"].min()
        told = {name: codes[name][code] for name, code in row["best"]["where"].items()}
        best = pooled[pooled["accuracy"] == pooled["accuracy"].max()]
        assert [told["train_channel"], told["test_channel"], told["test_upsampling"]] in [
            [a, b, f"{c:g}"] for a, b, c in best[by].itertuples(index=False)
        ]
        [whole] = accuracy_by(own, "model").to_dict("records")
        assert [row["unseen"][name] for name in ("n", "correct")] == [whole["n"], whole["correct"]]
        assert (
            row["unseen"]["low"] == pytest.approx(whole["accuracy_low"])
            and row["best"]["low"] < best["accuracy_low"].max()
        )


def test_a_part_of_a_mixture_counts_as_a_setting_of_training(tmp_path):
    path = tmp_path / "mixed.yaml"
    text = STUDY.replace("[hoc_svm, mod_lcnn]", "[hoc_svm]").replace("[0, 1]", "[0]")
    path.write_text(text.replace("{channel: [awgn, rayleigh]}", "{mixture: [{channel: awgn}, {channel: rician}]}"))
    fill(path, tmp_path / "store")
    data = study_data(str(path), Results(str(path), tmp_path / "store"), LARGEST_CONFUSION)
    test = {f["name"]: [f["values"][code] for code in unpacked(f["codes"])] for f in data["fields"]}
    assert unpacked(data["trained"]).astype(bool).tolist() == [value == "8" for value in test["test_upsampling"]]


def test_another_length_is_not_the_setting_of_training(tmp_path):
    path = tmp_path / "lengths.yaml"
    text = (
        STUDY.replace("[hoc_svm, mod_lcnn]", "[hoc_svm]").replace("[0, 1]", "[0]").replace("upsampling: ", "rolloff: ")
    )
    path.write_text(text.replace("[4, 8, 10.67]", "0.35") + "test_length: [64, 128]")
    fill(path, tmp_path / "store")
    data = study_data(str(path), Results(str(path), tmp_path / "store"), LARGEST_CONFUSION)
    told = {f["name"]: [f["values"][code] for code in unpacked(f["codes"])] for f in data["fields"]}
    settings = zip(told["train_channel"], told["test_channel"], told["test_length"], strict=True)
    seen = [setting for setting, seen in zip(settings, unpacked(data["trained"]), strict=True) if seen]
    assert seen == [("awgn", "awgn", "128 samples")]


def test_what_the_store_lacks_is_counted(place, tmp_path):
    fill(place / "fading.yaml", tmp_path / "store", runs=1)
    name = str(place / "fading.yaml")
    data = study_data(name, Results(name, tmp_path / "store"), LARGEST_CONFUSION)
    assert (len(data["runs"]), len(data["cells"]), data["total"]) == (1, 6, {"runs": 8, "cells": 48})


def test_a_study_without_cells_is_refused_with_the_command_that_computes_them(place, study, tmp_path):
    with pytest.raises(AmcError, match=r"holds no cells of .*fading.yaml: 'amc run"):
        write(tmp_path / "report.html", tmp_path / "nothing", [study])


def test_confusion_counts_that_take_too_much_room_are_left_out(place, study, tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "LARGEST_CONFUSION", 100)
    data = embedded(write(tmp_path / "report.html", place / "store", [study]))["studies"][0]
    assert data["confusion"] is None and data["confusion_characters"] > 100


def test_equal_results_give_the_same_file(place, study, written, tmp_path):
    assert write(tmp_path / "again.html", place / "store", [study]).read_bytes() == written.read_bytes()


def test_the_page_works_out_the_intervals_of_the_tables(written, place, tmp_path):
    node = needs("Node.js", "node")
    page = Path(report_module.__file__).parent / "page" / "data.js"
    script = f"""
    const document = {{ getElementById: () => ({{ textContent: {json.dumps(json.dumps(embedded(written)))} }}) }};
    {page.read_text(encoding="utf-8")}
    open(content.studies[0]).then((opened) => {{
      study = opened;
      const groups = new Map(), of = (cell, name) => study.byName[name].values[study.byName[name].codes[cell]];
      for (const cell of study.run.keys()) {{
        const key = ["model", "train_channel", "test_channel"].map((name) => of(cell, name)).join(" ");
        groups.set(key, [...(groups.get(key) ?? []), cell]);
      }}
      console.log(JSON.stringify([...groups].map(([key, cells]) => [key, tally(cells, 0, 1)])));
    }});"""
    (tmp_path / "page.js").write_text(script, encoding="utf-8")
    done = subprocess.run([node, tmp_path / "page.js"], capture_output=True, text=True, check=True)
    cells = load("cells", place / "store", filters={"snr_db": [0, 6]})
    table = accuracy_by(cells.replace({"model": TITLES}), ["model", "train_channel", "test_channel"])
    assert {1, 2} == set(table["seeds"])  # of HOC-SVM, which draws nothing, and of a network
    expected = {f"{row.model} {row.train_channel} {row.test_channel}": row for row in table.itertuples()}
    shown = dict(json.loads(done.stdout))
    assert shown.keys() == expected.keys()
    for key, row in expected.items():
        found = [shown[key][name] for name in ("n", "correct", "accuracy", "low", "high", "trainings")]
        told = row.n, row.correct, row.accuracy, row.accuracy_low, row.accuracy_high, row.seeds
        assert found == pytest.approx(told)


# -- the file ------------------------------------------------------------------------------------------------


def test_texts_of_a_study_stay_texts(written):
    page = Elements(written.read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("script") == 2 and "img" not in [tag for tag, _ in page.tags]
    assert json.loads(page.scripts[0])["studies"][0]["description"] == DESCRIPTION


def test_a_name_with_markup_is_escaped_in_the_title(place, tmp_path):
    path = tmp_path / "a<b>&amp;<script>.yaml"
    shutil.copy(place / "fading.yaml", path)
    page = Elements(write(tmp_path / "r.html", place / "store", [(str(path), load_study(str(path)))]).read_text())
    assert page.title == "Report: a<b>&amp;<script>" and [tag for tag, _ in page.tags].count("script") == 2


def test_the_file_names_nothing_outside_itself_and_runs_no_script_but_its_own(written):
    page = Elements(written.read_text(encoding="utf-8"))
    references = [a[name] for _, a in page.tags for name in ("src", "href", "action") if name in a]
    assert references == ["data:,", "#page"]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256("".join(page.scripts[1:]).encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_the_report_of_all_has_the_studies_and_scales_whose_cells_the_store_holds(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(place / "fading.yaml", "fading.yaml")
    Path("absent.yaml").write_text(STUDY.replace("[0, 6, 18]", "[3]"))
    Path("cluster.yaml").write_text("cluster_name: this is no study")
    assert [(name, study.scale) for name, study in held_studies(place / "store")] == [("fading.yaml", None)]
    Path("fading.yaml").write_text(STUDY.replace("instances: 20", "instances: 50\nscales: {tiny: {instances: 20}}"))
    assert [(name, study.scale) for name, study in held_studies(place / "store")] == [("fading.yaml", "tiny")]
    Path("same_runs.yaml").write_text(STUDY.replace("[4, 8, 10.67]", "[4, 8]"))
    assert [name for name, _ in held_studies(place / "store")] == ["fading.yaml", "same_runs.yaml"]
    with pytest.raises(AmcError, match="holds no cells of a shipped study or of a study file"):
        held_studies(tmp_path / "nothing")


def test_the_command_writes_the_file_and_says_how_large_it_is(amc, place, tmp_path):
    path = tmp_path / "deep" / "page.html"
    done = amc("report", str(place / "fading.yaml"), "--store", str(place / "store"), "--to", str(path))
    assert done.returncode == 0 and "report of fading" in done.stdout and "MB" in done.stdout
    assert len(embedded(path)["studies"]) == 1


def test_a_report_that_cannot_be_written_is_one_sentence(amc, place, tmp_path):
    (tmp_path / "file").touch()
    to = str(tmp_path / "file" / "page.html")
    done = amc("report", str(place / "fading.yaml"), "--store", str(place / "store"), "--to", to)
    assert done.returncode == 2 and "cannot be written" in done.stderr and "Traceback" not in done.stderr


# -- the page in a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    sync_api = needs_package("playwright.sync_api")
    chromium = needs("Chromium", "chromium", "chromium-browser", "google-chrome")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens a report; at the end nothing was asked of the network, and no error came."""
    pages, complaints, requests = [], [], []

    def open_page(path: Path, fragment: str = ""):
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(5000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url.partition("#")[0]))
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("#confusion > *")
        pages.append((page, path.as_uri()))
        return page

    yield open_page
    for page, _ in pages:
        page.close()
    assert complaints == [] and requests == [address for _, address in pages]


def square(page, *labels: str):
    return page.locator(f'#panels td[aria-label^="{", ".join(labels)};"]')


def told(p) -> str:
    """What the tip and the label of a square say of pooled counts."""
    interval = f"95 % interval {100 * p.accuracy_low:.1f} … {100 * p.accuracy_high:.1f} %"
    return f"{100 * p.accuracy:.1f} % ({interval}); {p.correct} of {p.n} right"


def assert_the_map_shows(page, cells):
    """Every square of the page's first axes has the number of the train × test table, with n and interval."""
    pooled = accuracy_by(cells, ["model", "train_channel", "test_channel", "test_upsampling"])
    assert page.locator("#panels td").count() == len(pooled)
    for p in pooled.itertuples():
        labels = f"train channel {p.train_channel}", f"test channel {p.test_channel}", f"test L {p.test_upsampling:g}"
        shown = square(page, TITLES[p.model], *labels)
        assert shown.inner_text() == f"{100 * p.accuracy:.1f}" and told(p) in shown.get_attribute("aria-label")


def set_snr(page, mode: str, *places: int):
    page.check(f"input[name=snr-mode][value={mode}]")
    for slider, value in zip(("#snr-from", "#snr-to"), places, strict=False):
        page.locator(slider).fill(str(value))


def test_the_heat_map_is_the_train_test_table_at_every_snr(visit, written, place):
    cells, page = load("cells", place / "store"), visit(written)
    assert page.locator("#panels td").count() == train_test(cells).notna().to_numpy().sum()
    assert_the_map_shows(page, cells)
    set_snr(page, "one", 2)
    assert "SNR 18 dB" in page.locator("#snr-told").inner_text()
    assert_the_map_shows(page, cells[cells["snr_db"] == 18])
    set_snr(page, "range", 1, 2)
    assert_the_map_shows(page, cells[cells["snr_db"] >= 6])
    set_snr(page, "all")
    assert_the_map_shows(page, cells)


def test_the_setting_of_training_is_framed(visit, written):
    page = visit(written)
    framed = [label.split(";")[0] for label in page.locator("td.trained").evaluate_all("a => a.map(t => t.ariaLabel)")]
    assert framed == [f"{title}, train channel awgn, test channel awgn, test L 8" for title in TITLES.values()]
    page.select_option("#rows", "train_channel")  # the two test channels are pooled now
    partly = page.locator("td.partly").evaluate_all("cells => cells.map(cell => cell.ariaLabel)")
    assert [label.split(";")[0] for label in partly] == [f"{t}, train channel awgn, test L 8" for t in TITLES.values()]


def test_any_varied_field_may_stand_along_either_axis_and_be_filtered(visit, written, place):
    cells, page = load("cells", place / "store"), visit(written)
    page.select_option("#rows", "model")
    page.select_option("#columns", "train_channel")
    for p in accuracy_by(cells, ["model", "train_channel"]).itertuples():
        shown = square(page, f"model {TITLES[p.model]}", f"train channel {p.train_channel}")
        assert told(p) in shown.get_attribute("aria-label")
    page.select_option("#filter-test_upsampling", label="4")
    page.select_option("#filter-seed", label="1")
    kept = cells[(cells["test_upsampling"] == 4) & (cells["seed"] == 1)]
    for p in accuracy_by(kept, ["model", "train_channel"]).itertuples():
        shown = page.locator(f'#panels td[aria-label*="model {TITLES[p.model]}, train channel {p.train_channel};"]')
        assert told(p) in shown.get_attribute("aria-label")
    page.select_option("#columns", "model")  # rows give way
    assert page.locator("#rows").input_value() == "rest" and page.locator("#panels table").count() == 1


def counts_shown(page) -> list[list[int]]:
    return page.locator("#confusion tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => Number(cell.textContent)))"
    )


def test_a_click_shows_the_confusion_counts_at_the_chosen_snrs(visit, written, place):
    long, page = load("confusion", place / "store"), visit(written)
    page.check("#counts")
    chosen = long[
        (long["model"] == "hoc_svm")
        & (long["train_channel"] == "rayleigh")
        & (long["test_channel"] == "rician")
        & (long["test_upsampling"] == 4)
    ]
    names = ["BPSK", "16QAM", "GFSK"]
    square(page, "HOC-SVM", "train channel rayleigh", "test channel rician", "test L 4").click()
    for mode, places, snrs in (("all", (), [0, 6, 18]), ("one", (0,), [0]), ("range", (1, 2), [6, 18])):
        set_snr(page, mode, *places)
        of_snrs = chosen[chosen["snr_db"].isin(snrs)]
        expected = of_snrs.pivot_table(index="sent", columns="recognised", values="count", aggfunc="sum")
        page.wait_for_function(
            "n => [...document.querySelectorAll('#confusion .total')].reduce((a, b) => a + +b.textContent, 0) === n",
            arg=int(of_snrs["count"].sum()),
        )
        assert counts_shown(page) == expected.loc[names, names].to_numpy().tolist()
    page.uncheck("#counts")
    share = 100 * expected.loc["BPSK", "BPSK"] / expected.loc["BPSK"].sum()
    page.wait_for_function("text => document.querySelector('#confusion td').textContent === text", arg=f"{share:.0f}")


def test_the_keyboard_reaches_every_square_and_adds_curves(visit, written):
    page = visit(written)
    chosen = page.locator("#chosen")
    assert "Mod-LCNN, train channel awgn, test channel awgn, test L 8" in chosen.inner_text()
    page.locator('#panels td[tabindex="0"]').last.focus()
    assert "95 % interval" in page.locator("#tip").inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert "train channel awgn, test channel rician, test L 4" in chosen.inner_text()
    assert page.locator("#snr-curves path.curve:not(.other)").count() == 1
    assert page.locator("#snr-curves path.curve.other").count() == 2
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Enter")
    assert page.locator("#snr-curves path.curve:not(.other)").count() == 2
    assert page.locator("#panels td[aria-selected=true]").count() == 2


def test_the_curves_have_the_accuracies_of_the_table(visit, written, place):
    cells, page = load("cells", place / "store"), visit(written)
    square(page, "HOC-SVM", "train channel awgn", "test channel awgn", "test L 4").click()
    page.locator("#snr-curves summary").click()
    own = cells[(cells["model"] == "hoc_svm") & (cells["train_channel"] == "awgn") & (cells["test_channel"] == "awgn")]
    table = train_test(own, ["snr_db"], "test_upsampling")
    rows = [line.split("\t") for line in page.locator("#snr-curves tbody").inner_text().splitlines()]
    assert rows == [
        [f"{snr:g}", *(f"{100 * row[L]:.1f} %" for L in (4.0, 8.0, 10.67))] for snr, row in table.iterrows()
    ]
    assert "fitted in one step" in page.locator("#learning").inner_text()


def test_the_names_at_the_ends_of_curves_are_whole_and_inside_the_drawing(visit, tmp_path):
    path = tmp_path / "ends.yaml"
    path.write_text(
        "{modulations: [BPSK, QPSK], snr_db: [0, 10], instances: 10, length: 128, models: hoc_svm, "
        "train: {}, test: {channel: [awgn, rayleigh_2, {name: a_long_urban_canyon, path_delays: [0, 2e-6], "
        "path_gains_db: [0, -3]}]}}"
    )
    fill(path, tmp_path / "store")
    page = visit(write(tmp_path / "report.html", tmp_path / "store", [(str(path), load_study(str(path)))]))
    names = ("awgn", "rayleigh_2", "a_long_urban_canyon")
    box = page.locator("#snr-curves svg").bounding_box()
    for name in names:
        text = page.locator("#snr-curves svg text", has_text=name).bounding_box()
        assert text["x"] + text["width"] <= box["x"] + box["width"]


def test_learning_curves_are_those_of_the_chosen_rows_runs(visit, written, place):
    epochs, page = load("epochs", place / "store"), visit(written)
    page.locator("#learning summary").first.click()
    own = epochs[(epochs["model"] == "mod_lcnn") & (epochs["train_channel"] == "awgn")]
    losses = own.pivot(index="epoch", columns="seed", values="validation_loss")
    shown = [line.split("\t") for line in page.locator("#learning tbody").first.inner_text().splitlines()]
    assert [[float(row[1]), float(row[3])] for row in shown] == [
        pytest.approx([row[0], row[1]], rel=1e-2) for _, row in losses.iterrows()
    ]


def test_the_snippet_gives_the_number_that_is_chosen(visit, written):
    page = visit(written)
    square(page, "Mod-LCNN", "train channel rayleigh", "test channel awgn", "test L 4").click()
    set_snr(page, "range", 0, 1)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(page.locator("#snippet").inner_text(), {})
    assert f"{100 * float(printed.getvalue()):.1f} %" == page.locator("#chosen strong").inner_text()
    assert page.locator("#reproduce pre").first.inner_text().startswith("amc run ")


def test_the_difference_of_two_squares_is_that_of_the_paired_test(visit, written, place):
    page, settings = visit(written), {"train_channel": "awgn", "test_channel": "awgn", "test_upsampling": 8}
    square(page, "HOC-SVM", "train channel awgn", "test channel awgn", "test L 8").click()
    square(page, "Mod-LCNN", "train channel awgn", "test channel awgn", "test L 8").click(modifiers=["Shift"])
    cells = load("cells", place / "store", columns=["model", "train_channel", *PAIRED], filters=settings)
    row = significance(cells, "model").iloc[0]  # of HOC-SVM against Mod-LCNN; the page has it the other way round
    numbers = [-row["difference"], -row["high"], -row["low"]]
    told = [f"{'+' if value > 0 else ''}{100 * value:.1f}".replace("-", "−") for value in numbers]
    shown = page.locator("#difference").inner_text()
    assert shown.startswith(f"{told[0]} points against HOC-SVM") and f"{told[1]} … {told[2]}" in shown
    assert f"paired on {row['n']} instances" in shown
    square(page, "Mod-LCNN", "train channel awgn", "test channel rician", "test L 8").click()
    square(page, "Mod-LCNN", "train channel awgn", "test channel awgn", "test L 8").click(modifiers=["Shift"])
    assert "not paired" in page.locator("#difference").inner_text()


def test_the_address_keeps_what_is_chosen(visit, written):
    page = visit(written)
    page.select_option("#rows", "model")
    page.select_option("#columns", "train_channel")
    page.select_option("#filter-seed", label="1")
    set_snr(page, "range", 1, 2)
    page.check("#counts")
    page.locator("#panels td").nth(1).click()
    chosen = page.locator("#chosen").inner_text()
    page = visit(written, "#" + page.url.partition("#")[2])
    page.wait_for_selector("#confusion table")
    assert page.locator("#chosen").inner_text() == chosen and "SNR 6 … 18 dB" in chosen
    assert [page.locator(name).input_value() for name in ("#rows", "#columns", "#filter-seed")] == [
        "model",
        "train_channel",
        "1",
    ]
    assert page.locator("#counts").is_checked()


def test_an_address_of_something_else_shows_the_page_as_it_opens(visit, written):
    page = visit(written)
    opened = page.locator("#chosen").inner_text()
    asked = "#study-7?rows=nonsense&columns=train_channel2&model=99&snr=one,77,78&chosen=9999,x&only.seed=12"
    page = visit(written, asked)
    page.wait_for_selector("#confusion table")
    assert page.locator("#chosen").inner_text() == opened


def test_curves_are_saved_as_files_with_one_click(visit, written, place, tmp_path):
    page = visit(written)
    square(page, "Mod-LCNN", "train channel awgn", "test channel awgn", "test L 8").click()
    files = {}
    for kind in ("SVG", "PNG", "CSV"):
        with page.expect_download() as started:
            page.locator(f"#snr-curves [data-save={kind}]").click()
        started.value.save_as(tmp_path / f"curve.{kind}")
        files[kind] = (tmp_path / f"curve.{kind}").read_bytes()
    assert files["PNG"].startswith(b"\x89PNG") and b"class=" not in files["SVG"]
    assert "http://www.w3.org/2000/svg" in ElementTree.fromstring(files["SVG"]).tag
    table = pd.read_csv(io.BytesIO(files["CSV"])).set_index("SNR in dB")
    cells = load(
        "cells", place / "store", filters={"model": "mod_lcnn", "train_channel": "awgn", "test_channel": "awgn"}
    )
    expected = accuracy_by(cells[cells["test_upsampling"] == 8], "snr_db").set_index("snr_db")
    name = next(column for column in table if column.endswith("8"))
    for column, own in ((name, "accuracy"), (f"{name}, low", "accuracy_low"), (f"{name}, high", "accuracy_high")):
        assert table[column].tolist() == pytest.approx(expected[own].tolist())


def test_models_are_compared_by_the_names_at_the_ends_of_their_curves(visit, written):
    page = visit(written)
    square(page, "HOC-SVM", "train channel awgn", "test channel awgn", "test L 8").click()
    square(page, "Mod-LCNN", "train channel awgn", "test channel awgn", "test L 8").click(modifiers=["Shift"])
    texts = page.locator("#snr-curves svg text").evaluate_all("texts => texts.map(text => text.textContent)")
    assert {"HOC-SVM", "Mod-LCNN"} <= set(texts) and page.locator("#snr-curves .legend").count() == 0


def test_the_limit_is_a_curve_beside_cells_of_the_same_tests(visit, place, study, tmp_path, monkeypatch):
    def limits(results, cells):
        known = cells[cells["test_upsampling"] != 4][["cell", "snr_db"]].drop_duplicates()
        return known.assign(limit=0.7 + known["snr_db"] / 100)

    monkeypatch.setattr(report_module.data, "limits_of", limits)
    page = visit(write(tmp_path / "report.html", place / "store", [study], limit=True))
    square(page, "HOC-SVM", "train channel awgn", "test channel awgn", "test L 8").click()
    square(page, "Mod-LCNN", "train channel awgn", "test channel awgn", "test L 8").click(modifiers=["Shift"])
    assert page.locator("#snr-curves svg text", has_text="upper bound").count() == 1
    page.locator("#snr-curves summary").click()
    last = [line.split("\t")[-1] for line in page.locator("#snr-curves tbody").inner_text().splitlines()]
    assert last == ["70.0 %", "76.0 %", "88.0 %"]
    for where in ("test L 4", "test L 10.67"):  # of which it is not known, and another test beside that of L = 8
        square(page, "Mod-LCNN", "train channel awgn", "test channel awgn", where).click(
            modifiers=[] if where == "test L 4" else ["Shift"]
        )
        assert page.locator("#snr-curves svg text", has_text="upper bound").count() == 0


def test_letters_stand_out_from_every_colour_of_the_map(visit, written):
    page = visit(written)
    worst = page.evaluate(
        """() => Math.min(...Array.from({ length: 201 }, (_, i) => {
             const cell = document.createElement("td"), rgb = shade(i / 200);
             paint(cell, i / 200);
             const light = luminance(rgb) + 0.05;
             return cell.classList.contains("light") ? light / 0.05 : 1.05 / light;
           }))"""
    )
    assert worst >= 4.5


def test_a_search_has_a_section_with_its_proposals_and_what_mattered(visit, tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(
        "{modulations: [BPSK, GFSK], snr_db: 10, instances: 20, length: 128, models: hoc_svm, train: {}, "
        "recipe: {batch_size: {choice: [16, 32, 64]}, label_fraction: {float: [0.1, 1]}}, "
        "test: {channel: [awgn, rician]}, search: {proposals: 6, objective: accuracy}}"
    )
    study, store = load_study(str(path)), Store(tmp_path / "store")
    drive(study, store)
    page = visit(write(tmp_path / "report.html", store.path, [(str(path), study)]))
    table = proposal_table(study, store)
    shown = page.locator("#proposals tbody tr").evaluate_all("rows => rows.map(row => +row.dataset.proposal)")
    assert shown == table["proposal"].tolist() == list(range(6))
    page.locator("#proposals th button", has_text="accuracy").click()
    shown = page.locator("#proposals tbody tr").evaluate_all("rows => rows.map(row => +row.dataset.proposal)")
    values = table.set_index("proposal")["accuracy"]
    assert [values[number] for number in shown] == sorted(values)
    assert page.locator("#search path.proposal").count() == 6
    assert page.locator("#search circle.dot").count() == 6
    if values.nunique() > 1:
        assert page.locator("#search .importances tbody tr").count() >= 1


def test_runs_are_sorted_by_the_column_that_is_clicked(visit, written, place):
    page, seconds = visit(written), load("runs", place / "store")["seconds"]
    keys = load("runs", place / "store").set_index("seconds")["run"]
    page.locator("#runs th button", has_text="training time").click()
    shown = page.locator("#runs tbody tr").evaluate_all("rows => rows.map(row => row.dataset.run)")
    assert shown == [keys[value] for value in sorted(seconds)]
    page.locator("#runs th button", has_text="training time").click()
    assert page.locator("#runs tbody tr").first.get_attribute("data-run") == keys[seconds.max()]


def test_the_summary_leads_to_the_worst_unseen_setting(visit, written, place):
    page, data = visit(written), embedded(written)["studies"][0]
    page.locator("#models button.link").nth(3).click()
    assert f"{100 * data['summary'][1]['worst']['accuracy']:.1f} %" == page.locator("#chosen strong").inner_text()
    assert page.locator("#chosen").inner_text().count("Mod-LCNN") == 1


def test_a_description_with_markup_is_shown_as_it_was_written(visit, written):
    page = visit(written)
    assert page.locator(".description").inner_text() == DESCRIPTION
    assert page.locator("img").count() == 0


def test_the_page_says_which_counts_were_left_out(visit, place, study, tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "LARGEST_CONFUSION", 100)
    page = visit(write(tmp_path / "report.html", place / "store", [study]))
    assert "are left out" in page.locator("#confusion").inner_text()


def test_what_the_papers_report_stands_beside_our_numbers(visit, place, study, tmp_path, monkeypatch):
    words = {"what": "HOC-SVM <b>in</b> AWGN", "paper": "P1", "place": "Fig. 2", "quote": "about half"}
    rows = {"model": "hoc_svm", "train_channel": "awgn"}
    entry = Published(**words, value=0.5, study="fading", quantity="accuracy", rows=rows)
    for module in (report_module.data, compare_module):
        monkeypatch.setattr(module, "PUBLISHED", (entry,))
    page = visit(write(tmp_path / "report.html", place / "store", [study]))
    cells = load("cells", place / "store")
    own = cells[(cells["model"] == "hoc_svm") & (cells["train_channel"] == "awgn")]
    shown = page.locator("#comparison tbody").inner_text().split("\t")
    assert shown[:3] == ["HOC-SVM <b>in</b> AWGN", "P1 Fig. 2", "50.0 %"] and shown[-1] == "about half"
    assert shown[3].startswith(f"{100 * own['correct'].sum() / own['n'].sum():.1f} % [")


def test_many_settings_open_as_training_against_test_settings(visit, tmp_path):
    path = tmp_path / "square.yaml"
    path.write_text(
        "{modulations: [BPSK, QPSK], snr_db: 10, instances: 10, length: 128, models: hoc_svm, "
        "train: {upsampling: [2, 3, 4, 5, 6, 7, 8], rolloff: [0.2, 0.35, 0.5]}, test: {vary: [upsampling, rolloff]}}"
    )
    fill(path, tmp_path / "store")
    page = visit(write(tmp_path / "report.html", tmp_path / "store", [(str(path), load_study(str(path)))]))
    assert [page.locator(name).input_value() for name in ("#rows", "#columns")] == ["train", "test"]
    assert page.locator("#panels td").count() == 21 * 21
    framed = page.locator("td.trained").evaluate_all(
        "cells => cells.map(td => [td.parentElement.rowIndex, td.ariaLabel])"
    )
    assert len(framed) == 21 and len({row for row, _ in framed}) == 21
    for _, label in framed:
        train, test = re.findall("train (.*?), train (.*?), ", label), re.findall("test (.*?), test (.*?);", label)
        assert train == test
    page.select_option("#columns", "test_upsampling")
    page.select_option("#rows", "rest")
    assert page.locator("#panels tbody tr").count() == 7 * 3 * 3


def test_a_test_field_that_follows_the_training_is_no_heading_of_its_own(visit, tmp_path):
    path = tmp_path / "follows.yaml"
    path.write_text(
        "{modulations: [BPSK, QPSK], snr_db: 10, instances: 10, length: 128, models: hoc_svm, "
        "train: {rolloff: [0.2, 0.5]}, test: {channel: [awgn, rician, rayleigh]}}"
    )
    fill(path, tmp_path / "store")
    page = visit(write(tmp_path / "report.html", tmp_path / "store", [(str(path), load_study(str(path)))]))
    assert page.locator("#panels tr", has_text="awgn").inner_text().split() == [
        "train",
        "α",
        "awgn",
        "rayleigh",
        "rician",
    ]
    assert page.locator("#snr input").count() == 0  # of one SNR there is nothing to choose


def test_several_studies_are_chosen_from_the_navigation(visit, place, study, tmp_path):
    other = tmp_path / "awgn.yaml"
    other.write_text(STUDY.replace("[awgn, rayleigh]", "awgn").replace("[hoc_svm, mod_lcnn]", "hoc_svm"))
    both = [study, (str(other), load_study(str(other)))]
    page = visit(write(tmp_path / "report.html", place / "store", both))
    assert page.locator("nav a").all_inner_texts() == ["fading", "awgn"]
    page.locator("nav a", has_text="awgn").click()
    page.wait_for_function("() => document.querySelector('h1').textContent === 'awgn'")
    assert page.locator("nav a[aria-current]").inner_text() == "awgn"
    page.wait_for_selector("#confusion table")
    assert page.locator("#panels table").count() == 1 and re.search(r"2 of 2", page.locator(".tiles").inner_text())

"""The dry run: each thing that would go wrong with a network of one's own, said in a sentence before a launch."""

import pytest

from amc_core import dry_run
from amc_core.dry_run import Attempt, require_working
from amc_core.errors import AmcError
from amc_core.own import OwnModel

HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"


def attempt(body: str, lengths=(64,), imports: str = "", attributes: str = "", **values) -> Attempt:
    """A network whose __init__ and methods are `body`; two dense layers where it says nothing else."""
    lines = [HEAD + imports, "class Net(nn.Module):", f"    {attributes or 'any_length = False'}", body]
    return Attempt(OwnModel("net.Net", {"net.py": "\n".join(lines)}), 3, lengths, values)


def network(init: str = "", forward: str = "return self.dense(x.flatten(1))", more: str = "") -> str:
    return f"""
    def __init__(self, classes, length, width=4):
        super().__init__()
        self.dense = nn.Linear(2 * length, classes)
        {init}
    def forward(self, x):
        {forward}
    {more}
"""


FOREST = {
    "imports": "from sklearn.ensemble import RandomForestClassifier\n",
    "init": "self.forest = RandomForestClassifier(5)",
    "forward": "if self.training: self.forest.fit(x.flatten(1).numpy(), [0, 1])\n"
    "        return self.dense(x.flatten(1)) + float(self.forest.predict(x.flatten(1).numpy())[0])",
}


def test_a_sound_network_passes():
    body = network("self.norm = nn.BatchNorm1d(2)", "return self.dense(self.norm(x).flatten(1))")
    dry_run._try(attempt(body))
    dry_run._try(attempt(body, attributes="parts = ('statistics',)"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (attempt(network(), imports="import no_such_package\n"), "ModuleNotFoundError: No module named"),
        (attempt(network(), imports="1 / 0\n"), "ZeroDivisionError: division by zero (net.py, line 4)"),
        (attempt(network() + "\ndel Net"), "net.py has no class 'Net' once it is imported"),
        (attempt(network(), depth=3), "is built: TypeError: Net.__init__() got an unexpected keyword argument 'depth'"),
        (attempt(network(forward="return self.dense(x.flatten(1))[:, :2]")), "gives shape (2, 2) for two instances: i"),
        (attempt(network(forward="return self.dense(x)")), "fails when it classifies two instances in training: Runti"),
        (attempt(network(forward="return x.flatten(1)[:, :3].log() + self.dense.weight[0, 0]")), "logits that are not"),
        (attempt(network(forward="return x.flatten(1)[:, :3]")), "fails when it computes gradients: RuntimeError"),
        (attempt(network("self.requires_grad_(False)")), "has no weights to train"),
        (attempt(network("self.dense = nn.LazyLinear(classes)")), "has lazy layers, whose sizes are unknown when it i"),
        (attempt(network("self.shift = torch.randn(3)", "return self.dense(x.flatten(1)) + self.shift")),
         "gives different logits after its weights are saved and loaded: its logits depend on something outside its s"),
        (attempt(network(FOREST["init"], FOREST["forward"]), imports=FOREST["imports"]),
         "fails after its weights are saved and loaded (NotFittedError"),
        (attempt(network("", "return self.dense(F.dropout(x).flatten(1))")), "gives different logits for the same ins"),
        (attempt(network("", "return self.dense(x.flatten(1) - x.flatten(1).mean(0))")), "if the rest of its batch ch"),
        (attempt(network("self.norm = nn.BatchNorm1d(2, track_running_stats=False)",
                         "return self.dense(self.norm(x).flatten(1))")), "if the rest of its batch changes"),
        (attempt(network(more="def get_extra_state(self): return {}")), "only tensors are kept"),
        (attempt(network(), attributes="parts = ('head',)"), "net.Net has no submodule 'head', which parts or feature"),
        (attempt(network(), attributes="parts = ('dense+tail',)"), "net.Net has no submodule 'dense+tail', which pa"),
        (attempt(network("self.act = nn.ReLU()"), attributes="parts = ('act',)"), "has no weights in 'act', whic"),
        (attempt(network(), attributes="parts = ('statistics',)"), "has no batch normalisation, whose stat"),
        (attempt(network(), lengths=(64, 32), attributes="any_length = True"), "instances of 32 samples, which any_le"),
    ],
)  # fmt: skip
def test_a_network_that_would_go_wrong_is_refused(given, told):
    with pytest.raises(AmcError) as refusal:
        dry_run._try(given)
    assert told in str(refusal.value) and "\n" not in str(refusal.value)


def test_it_runs_in_a_process_of_its_own_where_even_an_exit_is_a_sentence():
    require_working([])
    with pytest.raises(AmcError, match=r"the dry run of net\.Net ended with exit code 3: goodbye"):
        leaving = "import os, sys\nsys.stderr.write('goodbye')\nsys.stderr.flush()\nos._exit(3)\n"
        require_working([attempt(network(), imports=leaving)])


def test_it_ends_after_a_time(monkeypatch):
    monkeypatch.setattr(dry_run, "_SECONDS", 0)
    monkeypatch.setattr(dry_run, "_SECONDS_EACH", 1)
    with pytest.raises(AmcError, match=r"the dry run of net\.Net on two instances took more than 1 s"):
        require_working([attempt(network(), imports="import time\ntime.sleep(60)\n")])


def classifier(fit: str, forward: str, more: str = "") -> Attempt:
    """A class that is fitted: nearest means of its features, which are cumulants where it has none of its own."""
    return attempt(f"""
    def __init__(self, classes, length, power: float = 1):
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, 11))
    def fit(self, features, labels, seed):
        {fit}
    def forward(self, x):
        {forward}
    {more}
""")


FIT = "for k in range(len(self.means)): self.means[k] = torch.as_tensor(features[labels == k].mean(0))"
NEAREST = "return -torch.cdist(magnitudes(x), self.means)"


@pytest.mark.parametrize(
    ("fit", "forward", "more", "told"),
    [
        (FIT, NEAREST, "", None),
        (
            "self.kept = torch.as_tensor(features)",
            "return x[:, 0, :3] * self.kept[0, 1]",
            "",
            "after its weights are sav",
        ),
        ("1 / 0", NEAREST, "", "fails when it is fitted: ZeroDivisionError"),
        (FIT, NEAREST, "def features(self, x): return 3", "computes features that are not a tensor of shape (24, …)"),
        (FIT, "return x[:, 0, :2]", "", "gives shape (2, 2) for two instances"),
    ],
)
def test_a_class_that_is_fitted_is_tried_as_such(fit, forward, more, told):
    tried = classifier(fit, forward, more)
    source = tried.model.sources["net.py"].replace(HEAD, HEAD + "from amc_core.cumulants import magnitudes\n")
    tried = Attempt(OwnModel("net.Net", {"net.py": source}), *(tried.classes, tried.lengths, tried.hyperparameters))
    assert not tried.model.spec.epochs
    if told is None:
        dry_run._try(tried)
        return
    with pytest.raises(AmcError) as refused:
        dry_run._try(tried)
    assert told in str(refused.value)

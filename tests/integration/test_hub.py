"""`pull` against a small stand-in for the hub on loopback, through the real client library.

The client reads HF_ENDPOINT and HF_HOME when it is imported, so every pull runs in a process of its
own, as it does for a user; nothing is written outside the test's folder.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch

from hrm_core import open_checkpoint, parse_arch
from hrm_core.checkpoint.presets import PRESETS
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.network import build_network
from service.cli.pull import HubAddress, pull
from service.wire.errors import HubError

pytest.importorskip("huggingface_hub")

MAIN = hashlib.sha1(b"main").hexdigest()
OLD = hashlib.sha1(b"old").hexdigest()
FLAT = {
    "README.md": b"a checkpoint",
    "all_config.yaml": b"arch: {}\n",
    "checkpoint": b"weights" * 1000,
    "identifiers.json": b'["<blank>"]',
    "modeling.py": b"raise SystemExit",
    "optimizer.pkl": b"pickle",
    "step_9_all_preds.0": b"predictions",
    "preds_all_preds.safetensors": b"predictions",
}
WANTED = ("all_config.yaml", "checkpoint", "identifiers.json")
NESTED = {
    "README.md": b"two checkpoints",
    "arc_v1_public/all_config.yaml": b"arch: {name: trm}\n",
    "arc_v1_public/losses.py": b"raise SystemExit",
    "arc_v1_public/step_999": b"early",
    "arc_v1_public/step_1000": b"late" * 500,
    "arc_v2_public/step_5": b"other",
}
SUDOKU = "alphaXiv/trm-model-sudoku"  # known to have no all_config.yaml
SEVERAL = {"model.ckpt": b"one", "step_72385.zip": b"two", "trm.py": b"raise SystemExit"}
REPOS = {
    ("org/flat", MAIN): FLAT,
    ("org/flat", OLD): {**FLAT, "checkpoint": b"older weights"},
    ("org/nested", MAIN): NESTED,
    ("org/several", MAIN): SEVERAL,
    ("org/lists", MAIN): {**SEVERAL, "step_5": b"weights", "identifiers.json.gz": b"names"},
    ("org/text", MAIN): {"README.md": b"no weights here", "model.py": b""},
}
REVISIONS = {"main": MAIN, "v1": OLD, MAIN: MAIN, OLD: OLD}
PULL = """
import sys
from pathlib import Path
from service.wire.errors import HubError
from service.cli.pull import pull
source, folder, path = sys.argv[1:]
try:
    pulled = pull(source, Path(folder), path or None)
except HubError as error:
    sys.exit(f"HubError: {error}")
print(pulled.commit, *pulled.files)
"""


@dataclass
class StandIn:
    """Answer the routes that the client calls: the listing, and each file by way of a redirect."""

    url: str = ""
    store: str = ""  # files come from another host, as they do from the hub
    fetched: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    shut: bool = False

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._listing("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        if parts[2:3] == ["resolve"]:
            return self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        if parts[0] == "cdn":
            return 200, {}, REPOS["/".join(parts[1:3]), parts[3]]["/".join(parts[4:])]
        return 404, {}, b""

    def _listing(self, repo: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        if self.shut:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if not any(known == repo for known, _ in REPOS):
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        commit = REVISIONS.get(revision)
        if commit is None or (repo, commit) not in REPOS:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        siblings = [{"rfilename": name} for name in REPOS[repo, commit]]
        body = {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": []}
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def _file(self, repo: str, revision: str, name: str) -> tuple[int, dict[str, str], bytes]:
        if name in self.refused:
            return 403, {}, b""
        content = REPOS[repo, revision].get(name)
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        self.fetched.append(name)
        headers = {
            "X-Repo-Commit": revision,
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.store}/cdn/{repo}/{revision}/{name}",
        }
        return 302, headers, b""


@pytest.fixture
def hub() -> Iterator[StandIn]:
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = stand_in.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    stand_in.store = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join()


def run_pull(
    endpoint: str, source: str, folder: Path, path: str = "", **extra: str
) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    home = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder.parent / "home"), "NO_PROXY": "*"}
    return subprocess.run(
        [sys.executable, "-c", PULL, source, str(folder), path],
        env={**ours, **home, **extra},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_command(
    endpoint: str, folder: Path, source: str, *options: str
) -> subprocess.CompletedProcess[str]:
    home = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder.parent / "home"), "NO_PROXY": "*"}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "pull", source, "--out", str(folder), *options],
        env={**os.environ, **home, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_pull_brings_weights_config_and_json_but_no_code_and_no_pickle(
    hub: StandIn, tmp_path: Path
) -> None:
    done = run_pull(hub.url, "hf:org/flat", tmp_path / "checkpoint")

    assert done.stdout.split() == [MAIN, *WANTED], done.stderr
    assert contents(tmp_path / "checkpoint") == {name: FLAT[name] for name in WANTED}
    assert set(hub.fetched) == set(WANTED)


def test_a_pull_leaves_nothing_beside_the_files(hub: StandIn, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "checkpoint"
    run_pull(hub.url, "hf:org/nested", folder, "arc_v2_public", HF_HOME=str(tmp_path / "home"))

    assert sorted(tmp_path.glob("a/**/*")) == [folder, folder / "step_5"]


def test_several_weights_files_are_asked_about_by_name(hub: StandIn, tmp_path: Path) -> None:
    asked = run_command(hub.url, tmp_path / "one", "hf:org/several")
    chosen = run_command(hub.url, tmp_path / "two", "hf:org/several", "--weights", "model.ckpt")
    unknown = run_command(hub.url, tmp_path / "three", "hf:org/several", "--weights", "step_5")

    assert asked.returncode == 2
    assert "choose one with --weights: model.ckpt, step_72385.zip" in asked.stderr
    assert chosen.returncode == 0, chosen.stderr
    assert contents(tmp_path / "two") == {"model.ckpt": b"one"}
    assert "`hrm-arc presets" in chosen.stderr
    assert "holds no 'step_5'; it holds model.ckpt, step_72385.zip, trm.py" in unknown.stderr


def test_a_plain_step_goes_before_other_files_and_compressed_lists_come_along(
    hub: StandIn, tmp_path: Path
) -> None:
    done = run_pull(hub.url, "hf:org/lists", tmp_path / "checkpoint")

    assert done.stdout.split() == [MAIN, "identifiers.json.gz", "step_5"], done.stderr


def test_settings_are_written_for_a_repository_that_is_known_to_lack_them(
    hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = blank_weights("trm-sudoku-mlp")
    files = {"step_32550_sudoku_epoch50k": weights, "step_39060_sudoku_60k_epoch_attn_type": b""}
    monkeypatch.setitem(REPOS, (SUDOKU, MAIN), files)
    wanted = "--weights", "step_32550_sudoku_epoch50k"

    done = run_command(hub.url, tmp_path / "known", f"hf:{SUDOKU}", *wanted)
    wrong = run_command(
        hub.url, tmp_path / "wrong", f"hf:{SUDOKU}", *wanted, "--preset", "trm-sudoku-attention"
    )

    assert done.returncode == 0, done.stderr
    checkpoint = open_checkpoint(tmp_path / "known")
    assert checkpoint.notes == ("the settings are those of the preset trm-sudoku-mlp",)
    assert (checkpoint.config.mlp_t, checkpoint.config.L_cycles) == (True, 6)
    assert wrong.returncode == 2
    assert "the preset trm-sudoku-attention does not fit the weights" in wrong.stderr
    assert contents(tmp_path / "wrong").keys() == {wanted[1]}


def blank_weights(preset_name: str) -> bytes:
    """Return weights of a preset's shapes, of one row and the Sudoku canvas."""
    config = parse_arch(PRESETS[preset_name].document).configure(
        vocab_size=11, seq_len=81, num_rows=1
    )
    network = build_network(config, load_backend("sdpa"), torch.float32, meta=True)
    weights = {f"model.inner.{k}": torch.zeros(v.shape) for k, v in network.state_dict().items()}
    content = io.BytesIO()
    torch.save(weights | {"model.inner.puzzle_emb.weights": torch.zeros(1, 512)}, content)
    return content.getvalue()


def test_a_repository_of_another_program_is_refused_unless_a_preset_is_given(
    hub: StandIn, tmp_path: Path
) -> None:
    refused = run_command(hub.url, tmp_path / "one", "hf:Kaleemullah/trm-cgar-sudoku")
    given = run_command(
        hub.url, tmp_path / "one", "hf:Kaleemullah/trm-cgar-sudoku", "--preset", "trm-sudoku-mlp"
    )

    assert refused.returncode == 2
    assert "is of CGAR, a TRM with a depth" in refused.stderr
    assert "the hub has no model repository Kaleemullah/trm-cgar-sudoku" in given.stderr


def test_a_revision_is_resolved_to_its_commit(hub: StandIn, tmp_path: Path) -> None:
    done = run_pull(hub.url, "hf:org/flat@v1", tmp_path / "checkpoint")

    assert done.stdout.split()[0] == OLD, done.stderr
    assert (tmp_path / "checkpoint" / "checkpoint").read_bytes() == b"older weights"


def test_a_subfolder_lands_flat_with_its_highest_step_only(hub: StandIn, tmp_path: Path) -> None:
    done = run_pull(hub.url, "hf:org/nested", tmp_path / "checkpoint", "arc_v1_public/")

    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "checkpoint") == {
        "all_config.yaml": NESTED["arc_v1_public/all_config.yaml"],
        "step_1000": NESTED["arc_v1_public/step_1000"],
    }


@pytest.mark.parametrize(
    ("source", "path", "sentence"),
    [
        ("hf:org/nothing", "", "no model repository org/nothing"),
        ("hf:org/flat@v9", "", "org/flat has no revision v9"),
        ("hf:org/text", "", "holds no weights; a published checkpoint has"),
        ("hf:org/nested", "", "try --path arc_v1_public or --path arc_v2_public"),
        ("hf:org/flat", "arc", "subfolder arc, holds no weights; the weights are elsewhere"),
    ],
)
def test_what_the_hub_does_not_have_is_refused_with_its_hint(
    hub: StandIn, tmp_path: Path, source: str, path: str, sentence: str
) -> None:
    done = run_pull(hub.url, source, tmp_path / "checkpoint", path)

    assert done.returncode == 1
    assert done.stderr.strip().startswith("HubError: ")
    assert sentence in done.stderr
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("name", ["a\x1b[2J.json", "..\\b.json", "c\n.json", "d/../e.json"])
def test_a_listing_with_unsafe_names_is_refused(
    hub: StandIn, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REPOS, ("org/flat", MAIN), {**FLAT, name: b"{}"})

    done = run_pull(hub.url, "hf:org/flat", tmp_path / "checkpoint")

    assert f"{name!r}: nothing is fetched" in done.stderr
    assert not (tmp_path / "checkpoint").exists()
    assert hub.fetched == []


def test_a_gated_repository_says_how_to_be_let_in(hub: StandIn, tmp_path: Path) -> None:
    hub.shut = True

    done = run_pull(hub.url, "hf:org/flat", tmp_path / "checkpoint")

    assert "accept them on its page" in done.stderr


def test_a_broken_pull_leaves_no_half_checkpoint_and_the_next_one_goes_on(
    hub: StandIn, tmp_path: Path
) -> None:
    hub.refused = {"checkpoint"}
    broken = run_pull(hub.url, "hf:org/flat", tmp_path / "checkpoint")
    assert "HubError: the hub answered 403" in broken.stderr
    assert not any(path.is_file() for path in (tmp_path / "checkpoint").iterdir())
    hub.refused = set()
    hub.fetched.clear()

    done = run_pull(hub.url, "hf:org/flat", tmp_path / "checkpoint")

    assert done.returncode == 0, done.stderr
    assert "all_config.yaml" not in hub.fetched
    assert contents(tmp_path / "checkpoint") == {name: FLAT[name] for name in WANTED}


def test_an_endpoint_that_refuses_connections_is_named_as_the_network(tmp_path: Path) -> None:
    done = run_pull("http://127.0.0.1:9", "hf:org/flat", tmp_path / "checkpoint")

    assert "HubError: no connection to the hub" in done.stderr
    assert "HF_ENDPOINT" in done.stderr


def test_an_endpoint_that_is_no_hub_is_named(hub: StandIn, tmp_path: Path) -> None:
    done = run_pull(f"{hub.url}/elsewhere", "hf:org/flat", tmp_path / "checkpoint")

    assert "HubError: the hub answered 404 for hf:org/flat; check HF_ENDPOINT" in done.stderr


def test_a_target_that_cannot_be_written_is_named(hub: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    done = run_pull(hub.url, "hf:org/flat", tmp_path / "file" / "checkpoint")

    assert "HubError: hf:org/flat could not be written: " in done.stderr


def test_offline_mode_is_named(tmp_path: Path) -> None:
    done = run_pull("http://127.0.0.1:9", "hf:org/flat", tmp_path / "out", HF_HUB_OFFLINE="1")

    assert "unset HF_HUB_OFFLINE" in done.stderr


def test_a_folder_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")

    with pytest.raises(HubError, match="give another folder"):
        pull("hf:org/flat", tmp_path)

    assert contents(tmp_path) == {"mine": b"kept"}


@pytest.mark.parametrize(
    "source",
    [
        "org/flat",
        "hf:flat",
        "hf:org/flat/sub",
        "hf:org/flat@",
        "hf:../etc",
        "https://hf.co/org/flat",
    ],
)
def test_an_address_of_another_form_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="write hf:ORG/REPO"):
        pull(source, tmp_path / "checkpoint")


@pytest.mark.parametrize("path", ["../up", "a/../../b", "a\\b"])
def test_a_subfolder_cannot_leave_the_repository(path: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="not a subfolder"):
        pull("hf:org/flat", tmp_path / "checkpoint", path)


def test_a_revision_may_hold_slashes() -> None:
    address = HubAddress.parse("hf:org/flat@refs/pr/1")

    assert (address.repo, address.revision) == ("org/flat", "refs/pr/1")
    assert str(address) == "hf:org/flat@refs/pr/1"


def test_without_the_extra_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    without = "import sys; sys.modules['huggingface_hub'] = None\n"  # as if it were not installed
    done = subprocess.run(
        [sys.executable, "-c", without + PULL, "hf:org/flat", str(tmp_path / "checkpoint"), ""],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "pip install 'hrm-arc[hub]'" in done.stderr
    assert "Traceback" not in done.stderr

"""What a cluster is asked before Ray connects to it, behind a proxy and without one."""

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from sweeps import SweepError
from sweeps.cluster import address as addresses
from sweeps.cluster import tokens
from sweeps.cluster.tokens import is_demanded

PROXIES = ("grpc_proxy", "http_proxy", "https_proxy")


@pytest.fixture
def cluster() -> Iterator[str]:
    """Serve what answers a call of Ray's without asking for a token; return its address."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(autouse=True)
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a proxy that nothing is excepted from, and at which nothing listens."""
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy", "RAY_grpc_enable_http_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_machine_that_does_not_reach_itself_is_refused_at_once(monkeypatch):
    """As in a sandbox whose loopback interface is down, where Ray tries for minutes."""
    addresses.resolve(None)

    def unreachable(*arguments, **options):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", unreachable)
    with pytest.raises(SweepError, match=r"127\.0\.0\.1 \(.*unreachable\); bring its loopback .* serial"):
        addresses.resolve(None)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_proxy_is_passed_over_as_ray_does(cluster, scheme):
    assert not is_demanded(f"{scheme}{cluster}")


def test_a_proxy_is_taken_where_ray_is_told_to(cluster, monkeypatch):
    monkeypatch.setenv("RAY_grpc_enable_http_proxy", "1")
    with pytest.raises(SweepError, match=f"what listens at {cluster} is no Ray"):
        is_demanded(cluster)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert not is_demanded(cluster)


def test_what_the_proxy_alone_reaches_is_not_tried_without_it(monkeypatch):
    monkeypatch.setenv("RAY_grpc_enable_http_proxy", "true")
    assert addresses.resolve("nowhere.invalid:6379") == "nowhere.invalid:6379"
    monkeypatch.delenv("RAY_grpc_enable_http_proxy")
    with pytest.raises(SweepError, match=r"no Ray at nowhere\.invalid:6379"):
        addresses.resolve("nowhere.invalid:6379")


def test_a_token_is_looked_for_where_ray_does(tmp_path):
    home, named = tmp_path / "home", tmp_path / "named"
    values = {"HOME": str(home)}
    assert tokens.find(values)[0] == ""
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("of the home\n")
    assert tokens.find(values) == ("of the home", str(home / ".ray" / "auth_token"))
    named.write_text("named")
    assert tokens.find(values | {"RAY_AUTH_TOKEN_PATH": str(named)}) == ("named", str(named))
    assert tokens.find(values | {"RAY_AUTH_TOKEN": "given"}) == ("given", "RAY_AUTH_TOKEN")

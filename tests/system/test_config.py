"""The configuration: each mistake is named with its line, and changes nothing."""
import subprocess

import pytest

from harness import STAGE

MISTAKES = {
    "unknown key": ('network = testnet\nnetwrok = testnet\n', 2, ["netwrok", "unknown key"]),
    "unknown key in a section": ('endpoint "a" {\n url = "http://127.0.0.1:1"\n colour = red\n}\n', 3, ["colour", "unknown key"]),
    "unknown section": ('\n\nwallets {\n}\n', 3, ["wallets", "unknown section"]),
    "bad duration": ('# a comment\nsetup-timeout = 10x\n', 2, ["setup-timeout", "10x"]),
    "negative duration": ('setup-timeout = -5s\n', 1, ["setup-timeout", "-5s"]),
    "duration with a space": ('setup-timeout = 10 m\n', 1, ["setup-timeout"]),
    "section not closed": ('network = testnet\nendpoint "a" {\n url = "http://127.0.0.1:1"\n', 2, ["endpoint", "not closed"]),
    "key twice": ('gate = seed\nnetwork = testnet\ngate = reopen\n', 3, ["gate", "twice", "line 1"]),
    "key twice in a section": ('managed {\n count = 3\n count = 4\n}\n', 3, ["count", "twice", "line 2"]),
    "managed twice": ('managed {\n count = 3\n}\nmanaged {\n count = 3\n}\n', 4, ["managed", "twice", "line 1"]),
    "endpoint's name twice": ('endpoint "a" {\n url = "http://127.0.0.1:1"\n}\nendpoint "a" {\n url = "http://127.0.0.1:2"\n}\n',
                              4, ['"a"', "twice", "line 1"]),
    "endpoint's url twice": ('endpoint "a" {\n url = "http://127.0.0.1:18082"\n}\nendpoint "b" {\n url = "http://127.0.0.1:18082"\n}\n',
                             5, ["url", 'endpoint "a"']),
    "endpoint's url twice, written as localhost": (
        'endpoint "a" {\n url = "http://127.0.0.1:18082"\n}\nendpoint "b" {\n url = "HTTP://LocalHost:18082/"\n}\n',
        5, ["url", 'endpoint "a"']),
    "endpoint's url twice, written as IPv6": (
        'endpoint "a" {\n url = "http://127.0.0.1:18082"\n}\nendpoint "b" {\n url = "http://[::ffff:127.0.0.1]:18082"\n}\n',
        5, ["url", 'endpoint "a"']),
    "endpoint's url twice, with a leading zero": (
        'endpoint "a" {\n url = "http://127.0.0.1:8082"\n}\nendpoint "b" {\n url = "http://127.0.0.1:08082"\n}\n',
        5, ["url", 'endpoint "a"']),
    "endpoint's url twice, https": (
        'endpoint "a" {\n url = "http://127.0.0.1:443"\n}\nendpoint "b" {\n url = "https://127.0.0.1"\n}\n', 5, ["url", 'endpoint "a"']),
    "endpoint is a managed one": ('managed {\n port-base = 20000\n}\nendpoint "a" {\n url = "http://127.0.0.1:20005"\n}\n',
                                  5, ["url", "managed"]),
    "no url": ('network = testnet\nendpoint "a" {\n role = buyer\n}\n', 2, ['"a"', "url"]),
    "no url at all": ('endpoint "a" {\n url = "127.0.0.1:18082"\n}\n', 2, ["url", "http://"]),
    "password in the url": ('endpoint "a" {\n url = "http://me:secret@127.0.0.1:18082"\n}\n', 2, ["url", "login-file"]),
    "plain http beyond loopback": ('endpoint "a" {\n url = "http://192.0.2.1:18082"\n}\n', 2, ["plain http", "insecure"]),
    "unknown role": ('endpoint "a" {\n url = "http://127.0.0.1:1"\n role = seller\n}\n', 3, ["role", "seller", "buyer"]),
    "unknown network": ('network = regtest\n', 1, ["network", "regtest", "stagenet"]),
    "count of zero": ('managed {\n count = 0\n}\n', 2, ["count", "1"]),
    "no number": ('queue-max = many\n', 1, ["queue-max", "many"]),
    "relative path": ('state-dir = "var/lib"\n', 1, ["state-dir", "absolute"]),
    "socket's path too long": (f'run-dir = "/tmp/{"x" * 120}"\n', 1, ["socket", "107"]),
}


def check(path, *options):
    return subprocess.run([STAGE / "sbin/msigd", *options, "-f", path], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named_with_its_line(mistake, folder):
    text, line, words = MISTAKES[mistake]
    path = folder / "msigd.conf"
    path.write_text(text)
    said = check(path, "-n")
    assert said.returncode == 1
    assert any(f"{path}:{line}:" in reported and all(word in reported for word in words)
               for reported in said.stderr.splitlines()), said.stderr
    assert "secret" not in said.stderr
    assert sorted(p.name for p in folder.iterdir()) == ["msigd.conf"]


def test_all_mistakes_of_a_file_are_told_at_once(folder):
    path = folder / "msigd.conf"
    path.write_text('network = moon\nsetup-timeout = soon\nendpoint "a" {\n\turl = "ftp://x"\n}\n')
    said = check(path, "-n").stderr
    assert all(f"{path}:{line}:" in said for line in (1, 2, 4)), said


def test_msigd_does_not_start_on_a_mistake(msigd):
    m = msigd(start=False, extra="setup-timeout = soon\n")
    assert f"{m.conf}:8: setup-timeout" in m.refused()
    assert not m.state.exists() and not m.run.exists() and not m.locks.exists()


@pytest.mark.parametrize("text", ["", "# nothing\n", 'endpoint "a" {\n\turl = "http://192.0.2.1:1"\n\tinsecure = true\n}\n',
                                  'endpoint "a" {\n\turl = "https://192.0.2.1:1"\n\twallet-dir = ""\n}\n'])
def test_good_file_is_called_good(text, folder):
    path = folder / "msigd.conf"
    path.write_text(text)
    said = check(path, "-n")
    assert (said.returncode, said.stderr) == (0, "") and "good" in said.stdout
    assert [p.name for p in folder.iterdir()] == ["msigd.conf"]


def test_file_that_is_not_there_is_named(folder):
    said = check(folder / "nowhere.conf", "-n")
    assert said.returncode == 1 and "nowhere.conf" in said.stderr and "No such file" in said.stderr


def test_sample_configuration_is_good():
    sample = STAGE / "share/doc/msigd/msigd.conf.sample"
    if not sample.exists():
        pytest.skip("not installed")
    assert check(sample, "-n").returncode == 0


def test_wrong_usage_is_status_2(folder):
    for options in (["-z"], ["-n", "surplus"]):
        assert subprocess.run([STAGE / "sbin/msigd", *options], capture_output=True, check=False).returncode == 2

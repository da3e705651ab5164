#!/usr/bin/env python3
"""Tests of the command line of examples/run, and of how stages are told. Nothing is installed, built or run: examples/run
prints what it would do (ANABRANCH_DRY_RUN), with a PATH on which no installer or compiler is."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"chat", "serve", "bench", "llama_chat", "best_of", "speculate", "fan_out", "custom_markup", "custom_cache", "c", "rust", "python",
            "goldens", "answers", "corpus", "train", "evaluate", "merge_adapter"}


def bare_path():
    """A folder with the few commands that parsing a command line takes."""
    folder = tempfile.mkdtemp()
    for name in ("bash", "cat", "dirname", "env"):
        os.symlink(shutil.which(name), Path(folder) / name)
    return folder


PATH = bare_path()


def run(*arguments, script=ROOT / "examples/run", cwd="/", stdin="", dry=True):
    environment = {"PATH": PATH, "HOME": "/nonexistent", **({"ANABRANCH_DRY_RUN": "1"} if dry else {})}
    return subprocess.run([shutil.which("bash"), script, *arguments], cwd=cwd, env=environment, input=stdin,
                          capture_output=True, text=True, timeout=30)


class CommandLine(unittest.TestCase):
    def plan(self, *arguments, **how):
        """The target, the program and its arguments."""
        done = run(*arguments, **how)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        target, program, *passed = done.stdout.splitlines()
        return target, program, passed

    @staticmethod
    def some(name):
        """Arguments that it takes."""
        if any(alone in name for alone in ("custom_markup", "custom_cache", "bench", "serve", "fan_out")):
            return []
        return ["x", "y"] if "merge_adapter" in name else ["x"]

    def refusal(self, *arguments, **how):
        done = run(*arguments, **how)
        self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
        return done.stderr

    def test_the_chat_gets_its_arguments_as_they_are_in_any_order(self):
        for arguments in (["Why is it?"], ["--seed", "1", "Why", "is", "it?"], ["Why is it?", "--json"], ["-"],
                          ["--json", "--", "--help me"]):
            target, program, passed = self.plan(*arguments)
            self.assertEqual((target, passed), ("anabranch_chat", arguments))
            self.assertEqual(program, f"{ROOT}/build/release/examples/chat/anabranch_chat")

    def test_an_example_may_be_named_anywhere_in_front_of_two_dashes(self):
        for arguments in (["--example", "best_of", "a", "b"], ["a", "--example=best_of", "b"], ["a", "b", "--example", "best_of"]):
            self.assertEqual(self.plan(*arguments)[::2], ("anabranch_best_of", ["a", "b"]))
        self.assertEqual(self.plan("--", "--example", "x")[2], ["--", "--example", "x"])

    def test_names_folders_and_programs_name_examples(self):
        names = {
            "anabranch_best_of": "best_of custom_loop/best_of anabranch_best_of",
            "anabranch_c_host": "c c_host examples/c c/",
            "build_anabranch_rust_host": "rust rust_host",
            "anabranch_corpus": "corpus train/corpus examples/train/corpus/",
            "anabranch_answers": "answers train/answers",
            "anabranch_evaluate": "evaluate",
            "anabranch_merge_adapter": "merge_adapter train/merge_adapter",
            "anabranch_train_program": "train anabranch_train",
            "anabranch_custom_markup": "custom_markup",
            "anabranch_custom_cache": "custom_cache",
            "anabranch_llama_chat": "llama_chat",
            "anabranch_bench": "bench anabranch-bench anabranch_bench examples/bench",
            "anabranch_capi": "python transformers_host python/transformers_host.py goldens",
        }
        for target, spellings in names.items():
            for name in spellings.split():
                self.assertEqual(self.plan("--example", name, *self.some(name))[0], target, name)

    def test_every_program_of_the_tree_is_an_example(self):
        built = set()
        for file in ROOT.glob("examples/**/CMakeLists.txt"):
            for line in file.read_text().splitlines():
                for call in ("anabranch_example(", "custom_loop("):
                    if line.startswith(call):
                        built.add(line[len(call):].split()[0].rstrip(")").replace("_program", ""))
        self.assertEqual(built, PROGRAMS - {"c", "rust", "python", "goldens"})
        for name in PROGRAMS:
            self.plan("--example", name, *self.some(name))

    def test_a_folder_of_several_lists_them_and_an_unknown_name_lists_all(self):
        text = self.refusal("--example", "custom_loop")
        for name in ("best_of", "speculate", "fan_out"):
            self.assertIn(f"\n  {name} ", text)
        self.assertNotIn("corpus", text)
        for name in ("nope", "*"):
            text = self.refusal("--example", name)
            self.assertIn(f"'{name}'", text)
            self.assertEqual({line.split()[0] for line in text.splitlines() if line.startswith("  ")}, PROGRAMS)
        self.assertIn("fan_out", self.refusal("--example"))

    def test_without_arguments_an_example_says_what_it_takes(self):
        self.assertIn("usage: examples/run [options] QUESTION", self.refusal())
        for name in ("c", "rust", "python", "llama_chat", "merge_adapter", "corpus", "train", "answers", "evaluate"):
            self.assertIn(f"usage: examples/run --example {name}", self.refusal("--example", name))
        for name in ("bench", "best_of", "speculate", "fan_out", "custom_markup", "custom_cache"):
            self.assertEqual(self.plan("--example", name)[2], [])

    def test_bench_run_model_is_the_example_bench(self):
        planned = self.plan("model", "--quick", script=ROOT / "bench/run")
        self.assertEqual(planned, self.plan("--example", "bench", "--quick"))
        self.assertEqual(planned[1:], (f"{ROOT}/build/release/examples/bench/anabranch-bench", ["--quick"]))
        done = run("model", "--help", script=ROOT / "bench/run", dry=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--prompt-tokens", done.stdout)

    def test_an_empty_question_is_refused(self):
        for arguments in ([""], ["  "], ["--example", "c", ""], ["--example", "best_of", ""], ["--example", "rust", "--", " "]):
            self.assertIn("empty", self.refusal(*arguments))
        self.assertEqual(self.plan("--system", "", "Why?")[2], ["--system", "", "Why?"])

    def test_what_the_program_would_refuse_is_refused_before_it_is_built(self):
        refused = {
            "nothing was asked": [["--json"], ["--seed", "1"], ["--temperature=0", "--"], ["--example", "python", "--json"],
                                  ["--example", "llama_chat", "some.gguf"], ["--example", "llama_chat", "--model", "some.gguf"]],
            "takes no option --jsn": [["--jsn", "Why?"], ["Why?", "--jsn=1"], ["--example", "bench", "--jsn"]],
            "takes no option -5": [["-5"]],
            "--seed needs a value": [["Why?", "--seed"]],
            "options alone; it was given x": [["--example", name, "x"] for name in ("bench", "serve", "fan_out")],
            "two folders; it was given 1": [["--example", "merge_adapter", "--dtype", "bfloat16", "x"]],
            "the question is empty": [["--json", ""]],
        }
        for text, all_arguments in refused.items():
            for arguments in all_arguments:
                self.assertIn(text, self.refusal(*arguments), arguments)
        for arguments in (["--file", "some"], ["--frequency-penalty", "-1", "Why?"], ["--stop", "a", "--stop=", "Why?"],
                          ["--json", "--", "--jsn"], ["--example=llama_chat", "--model", "a", "some.gguf"]):
            self.assertEqual(self.plan(*arguments)[2], [a for a in arguments if not a.startswith("--example")])

    def test_the_hosts_get_a_folder_and_one_question(self):
        model = f"{ROOT}/build/models/smollm2-135m"
        for name in ("c", "rust"):
            take = lambda *arguments, **how: self.plan("--example", name, *arguments, **how)[2]
            self.assertEqual(take("Why", "is", "it?"), [model, "Why is it?"])
            self.assertEqual(take("Why?", "--model", "m"), ["m", "Why?"])
            self.assertEqual(take("--model=m", "--", "-1?"), ["m", "-1?"])
            self.assertEqual(take("-", stdin="Why?\n"), [model, "Why?"])
            self.assertIn("takes no option --seed", self.refusal("--example", name, "--seed", "1", "Why?"))
            self.assertIn("empty", self.refusal("--example", name, "-"))

    def test_help_comes_before_any_installation_and_shows_what_is_used(self):
        for arguments in (["--help"], ["-h"], ["Why?", "--help"]):
            done = run(*arguments, dry=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for part in ("1.1", "examples/train/adapters/aspd", "--max-tokens", "fan_out"):
                self.assertIn(part, done.stdout)
        for name in PROGRAMS:
            done = run("--example", name, "--help", dry=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"--example {name}" if name != "chat" else "examples/run [options]", done.stdout)
            self.assertEqual("[options]" in done.stdout, name not in ("custom_markup", "custom_cache", "goldens"), name)

    def test_help_names_the_options_that_the_programs_have(self):
        sources = {
            "chat": "chat/main.cpp chat/session.cpp",
            "bench": "bench/main.cpp",
            "llama_chat": "llama_chat/main.cpp chat/session.cpp",
            "serve": "serve/main.cpp",
            "best_of": "custom_loop/best_of.cpp custom_loop/host.cpp",
            "speculate": "custom_loop/speculate.cpp custom_loop/host.cpp",
            "fan_out": "custom_loop/fan_out.cpp custom_loop/host.cpp",
            "merge_adapter": "train/merge_adapter/main.cpp",
            "python": "python/transformers_host.py",
        }
        self.assertEqual(set(sources), {file.stem for file in (ROOT / "examples/help").iterdir()})
        for name, files in sources.items():
            text = "".join((ROOT / "examples" / file).read_text() for file in files.split())
            options = set(re.findall(r'add(?:_option|_flag)?\(\s*"!?(--[a-z-]+)"', text))
            told = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", (ROOT / f"examples/help/{name}.txt").read_text(), re.M))
            self.assertEqual(told - {"--help"}, options, name)

    def test_what_takes_no_options_says_so_and_refuses_them(self):
        for name in ("c", "rust", "goldens", "custom_markup", "custom_cache"):
            told = run("--example", name, "--help", dry=False).stdout
            self.assertTrue("takes no options" in told or "\n  --model FOLDER" in told, told)
            self.assertEqual("[options]" in told, "--model" in told)
            self.assertTrue(self.refusal("--example", name, "--nothing", "x").startswith("error: "))
        for arguments in ([], ["--example"], ["--example", "custom_loop"], ["--example", "nope"], [""]):
            self.assertTrue(self.refusal(*arguments).startswith("error: "), arguments)

    def test_it_runs_from_a_path_with_blanks(self):
        with tempfile.TemporaryDirectory(prefix="with blanks ") as folder:
            shutil.copytree(ROOT / "examples", Path(folder, "a tree/examples"), ignore=lambda *_: ["train"])
            script = Path(folder, "a tree/examples/run")
            root = f"{os.path.realpath(folder)}/a tree"
            self.assertEqual(self.plan("--example", "c", "Why?", script=script)[2], [f"{root}/build/models/smollm2-135m", "Why?"])
            self.assertEqual(self.plan("--example", "fan_out", script="a tree/examples/run", cwd=folder)[1],
                             f"{root}/build/release/examples/custom_loop/anabranch_fan_out")


class Stages(unittest.TestCase):
    def test_a_stage_is_named_as_it_begins(self):
        with tempfile.TemporaryDirectory() as root:
            script = f'root={root}; . "{ROOT}/cmake/setup/setup.sh"; stage "first thing" cat told; echo end >&2'
            Path(root, "told").write_text("x")
            told = subprocess.run(["bash", "-c", f'cd {root}; {script}'], capture_output=True, text=True,
                                  env={**os.environ, "ANABRANCH_CACHE": root}).stderr.splitlines()
            self.assertEqual(len(told), 2)
            self.assertRegex(told[0], r"^\[ +\d+ s\] first thing \.\.\.$")
            self.assertEqual(told[1], "end")
            script = script.replace("cat told", "bash -c 'cat /dev/stderr; exit 3'").replace("; echo end", " || echo end")
            failed = subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                                    env={**os.environ, "ANABRANCH_CACHE": root})
            self.assertEqual(failed.returncode, 1)
            self.assertIn("first thing failed (exit status 3)", failed.stderr)


    def test_a_signal_ends_the_stage_with_all_that_it_started(self):
        for sent in (signal.SIGINT, signal.SIGTERM):
            with tempfile.TemporaryDirectory() as root:
                script = f'root={root}; . "{ROOT}/cmake/setup/setup.sh"; stage slow work; echo went on'
                work = f"work() {{ sleep 600 & echo $! >{root}/pid; wait; }}"
                run = subprocess.Popen(["bash", "-c", f"set -e; {work}; {script}"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, start_new_session=True,
                                       env={**os.environ, "ANABRANCH_CACHE": root},
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
                while not Path(root, "pid").exists() or not Path(root, "pid").read_text().endswith("\n"):
                    time.sleep(0.02)
                os.killpg(run.pid, sent)  # as a terminal does; the stage is in a group of its own
                self.assertEqual(run.communicate(timeout=60)[0], "")
                self.assertEqual(run.returncode, -sent)
                started = Path("/proc", Path(root, "pid").read_text().strip(), "stat")
                for _ in range(500):  # it has got its signal; a zombie (Z) is only not yet waited for
                    if not started.exists() or started.read_text().rpartition(") ")[2].startswith("Z"):
                        break
                    time.sleep(0.02)
                else:
                    self.fail(f"what the stage started lives on after {sent.name}")


def tool(folder, name, text):
    """A stand-in for a program, in bash."""
    Path(folder, name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
    Path(folder, name).chmod(0o755)


class SetUp(unittest.TestCase):
    """cmake/setup/setup.sh over stand-ins for cmake, python3 and pip."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="with blanks ")
        self.addCleanup(holder.cleanup)
        self.root = Path(holder.name).resolve()
        (self.root / "tools").mkdir()
        shutil.copytree(ROOT / "cmake/setup", self.root / "cmake/setup")
        (self.root / "CMakePresets.json").write_text("{}")

    def sh(self, script, **variables):
        environment = {**os.environ, "ANABRANCH_CACHE": str(self.root / "cache"), "ROOT": str(self.root), **variables,
                       "PATH": f"{self.root}/tools:{os.environ['PATH']}"}
        return subprocess.run(["bash", "-c", f'set -euo pipefail; root=$ROOT; . "$root/cmake/setup/setup.sh"; {script}'],
                              env=environment, capture_output=True, text=True, timeout=60)

    def test_a_preset_is_configured_again_only_when_something_changed(self):
        tool(self.root / "tools", "cmake", f"""
            [ "$1" != --version ] || {{ echo one; exit; }}
            mkdir -p "$ROOT/build/dev" && cd "$ROOT/build/dev" && touch CMakeCache.txt build.ninja && echo "--   x  left out: y"
            exit ${{BREAK:-0}}""")

        def configured(script="configure dev -DA=1", **variables):
            done = self.sh(script, **variables)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual("left out: y" in done.stderr, "configure the preset dev ..." in done.stderr)
            return "configure the preset dev ..." in done.stderr

        build = self.root / "build/dev"
        self.assertEqual([configured(), configured()], [True, False])
        self.assertEqual([configured("configure dev -DA=2"), configured(), configured()], [True, True, False])
        self.assertEqual([configured(CXX="other"), configured(), configured()], [True, True, False])
        for name in ("CMakeCache.txt", "build.ninja", "configured_with"):
            (build / name).unlink()
            self.assertEqual([configured(), configured()], [True, False], name)
        os.utime(build / "CMakeCache.txt")  # as the build does when it runs cmake again
        self.assertFalse(configured())
        (build / "CMakeCache.txt").write_text("A:STRING=3")  # somebody ran cmake by hand
        self.assertEqual([configured(), configured()], [True, False])
        (self.root / "CMakePresets.json").write_text("{ }")
        self.assertEqual([configured(), configured()], [True, False])
        tool(self.root / "tools", "cmake", (self.root / "tools/cmake").read_text().replace("echo one", "echo two"))
        self.assertEqual([configured(), configured()], [True, False])
        self.assertNotEqual(self.sh("configure dev -DA=3", BREAK="1").returncode, 0)
        self.assertEqual([configured(), configured()], [True, False])

    def test_a_copy_that_cannot_be_written_is_named(self):
        refused = "cannot be written; make a copy that can"
        done = self.sh("echo ready")
        self.assertEqual((done.returncode, done.stdout), (0, "ready\n"), done.stderr)
        # There nobody makes a folder, not even root.
        done = subprocess.run(["bash", "-c", f'set -e; root=/proc/self/task; . "{ROOT}/cmake/setup/setup.sh"; echo ready'],
                              env={**os.environ, "ANABRANCH_CACHE": str(self.root / "cache")}, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"this copy of Anabranch, /proc/self/task, {refused}", done.stderr)

    def python(self, *, cpu_wheel, cuda, imports):
        """A python3 whose venv's pip sees one torch wheel."""
        version = f"__version__ = 'x'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = None\n"
        tool(self.root / "tools", "venv_python", f"""
            echo "$*" >>"$ROOT/calls"
            site=$(dirname "$0")/../lib/python3.11/site-packages/torch
            case "$*" in
              *" install "*torch==*+cpu) {'mkdir -p "$site"' if cpu_wheel else 'exit 1'} ;;
              *" install "*torch==*) mkdir -p "$site" ;;
              *" list") echo "torch 9.9+x" ;;
              "-c import torch"*) exit {0 if imports else 1} ;;
            esac
            case "$*" in *" install "*torch==*) printf "%s" "{version}" >"$site/version.py"; mkdir -p "$site/share/cmake" ;; esac""")
        tool(self.root / "tools", "python3", """
            case "$*" in
              "-m venv "*) mkdir -p "$3/bin" && cp "$ROOT/tools/venv_python" "$3/bin/python" ;;
              *platform*) echo "3.11 x" ;;
            esac""")

    def test_a_wheel_that_is_not_for_cpus_is_refused_by_name(self):
        for cuda, imports, text in (("'13.0'", False, "torch wheel 9.9+x, which is not for CPUs alone"),
                                    ("None", False, "cannot be imported")):
            self.python(cpu_wheel=False, cuda=cuda, imports=imports)
            for script in ("need_venv", "need_venv || true"):
                done = self.sh(script)
                self.assertEqual(done.returncode, 1)
                self.assertIn(text, done.stderr)
                self.assertEqual("PIP_EXTRA_INDEX_URL" in done.stderr, cuda != "None")
            self.assertEqual(list(self.root.glob("cache/*/complete")), [])

    def test_the_wheel_for_cpus_is_taken_first_and_an_environment_with_another_is_made_again(self):
        for cpu_wheel in (True, False):
            self.python(cpu_wheel=cpu_wheel, cuda="None", imports=True)
            done = self.sh('need_venv; need_venv; rm "$(venv_folder)/complete"')
            self.assertEqual((done.returncode, done.stderr.count("make the Python environment")), (0, 1), done.stderr)
            asked = re.findall(r" install .*(torch==\S+)", (self.root / "calls").read_text())
            self.assertEqual([name.endswith("+cpu") for name in asked], [True] if cpu_wheel else [True, False])
            (self.root / "calls").unlink()
        self.sh("need_venv")
        version = next(self.root.glob("cache/venv-*/lib/python3.11/site-packages/torch/version.py"))
        version.write_text(version.read_text().replace("cuda: Optional[str] = None", "cuda = '13.0'"))
        done = self.sh("need_venv; need_venv")
        self.assertEqual((done.returncode, done.stderr.count("make the Python environment")), (0, 1), done.stderr)


if __name__ == "__main__":
    try:
        unittest.main()
    finally:
        shutil.rmtree(PATH)

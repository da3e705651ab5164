#!/usr/bin/env python3
"""Does what `docker build` would do with cmake/packaging/docker/Dockerfile, in a folder and without an image.

    dockerfile.py ROOT WORK VERSION OPTIONS     OPTIONS: the value of the argument OPTIONS, for CMake

Each stage has a folder as its root. COPY copies into it, of the checkout only what .dockerignore lets through. RUN runs
its commands in it, but for two: of `apt-get install` the packages are looked up in apt's lists, and .deb files are
unpacked into the stage; `rm` of apt's lists is left out. Any other absolute path in a command is refused. CMD runs last.
"""
import fnmatch
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT, WORK = Path(sys.argv[1]), Path(sys.argv[2])
VERSION, OPTIONS = sys.argv[3:5]
FOLDER = ROOT / "cmake/packaging/docker"
CLEAN_UP = "rm -rf /var/lib/apt/lists/*"
NEEDED = {"g++", "cmake", "ninja-build"}  # by the commands


def instructions():
    """(word, rest) of each instruction, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def ignored(path):
    """Whether .dockerignore keeps a path of the checkout from docker: the last rule that matches decides."""
    result = False
    for rule in (FOLDER / "Dockerfile.dockerignore").read_text().split():
        pattern = rule.lstrip("!").removeprefix("**/")
        parts = [str(path), *map(str, path.parents)][:-1]
        names = path.parts if rule.startswith("**/") else parts
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            result = not rule.startswith("!")
    return result


@functools.lru_cache(None)
def apt_names():
    found = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def in_apt(package):
    return package in apt_names()


class Stage:
    def __init__(self, image, name):
        if not re.fullmatch(r"debian:12(-slim)?", image):
            sys.exit(f"error: the image {image} is not Debian 12")
        self.root = WORK / (name or "runtime")
        self.place = self.root
        self.arguments = {}
        self.installed = set()
        self.updated = False
        self.root.mkdir(parents=True)

    def inside(self, path):
        """A path of the image as a path of the folder."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.place / path

    def copy(self, words, stages):
        *sources, target = words
        origin = None
        if sources[0].startswith("--from="):
            origin = stages[sources.pop(0).removeprefix("--from=")]
        for source in sources:
            if origin:
                inside = origin.inside(source)
                found = sorted(inside.parent.glob(inside.name))
            else:
                found = sorted(ROOT.glob(source))
                if any(ignored(path.relative_to(ROOT)) for path in found):
                    sys.exit(f"error: COPY {source}: .dockerignore keeps it from docker")
            if not found:
                sys.exit(f"error: COPY {source}: there is no such file")
            goal = self.inside(target)
            for path in found:
                if path.is_dir():
                    shutil.copytree(path, goal, ignore=lambda folder, names: [] if origin else [
                        name for name in names if ignored((Path(folder) / name).relative_to(ROOT))])
                else:
                    goal.mkdir(parents=True, exist_ok=True) if target.endswith("/") else None
                    shutil.copy2(path, goal)

    def install(self, words):
        packages = [word for word in words if not word.startswith("-")]
        for package in packages:
            if package.endswith(".deb"):
                files = sorted(self.place.glob(package))
                if not files:
                    sys.exit(f"error: apt-get install {package}: there is no such file")
                for file in files:
                    self.unpack(file)
            elif not self.updated:
                sys.exit("error: apt-get install without apt-get update in the same stage")
            elif not in_apt(package):
                sys.exit(f"error: apt knows no package {package}")
            else:
                self.installed.add(package)

    def unpack(self, file):
        """A .deb: into the stage; what it depends on, apt must know or the stage have."""
        subprocess.run(["dpkg-deb", "-x", file, self.root], check=True)
        name = subprocess.run(["dpkg-deb", "-f", file, "Package"], capture_output=True, text=True, check=True).stdout.strip()
        self.installed.add(name)
        depends = subprocess.run(["dpkg-deb", "-f", file, "Depends"], capture_output=True, text=True, check=True).stdout
        for other in re.findall(r"(?:^|, )([\w.+-]+)", depends):
            beside = list(file.parent.glob(f"{other}_*.deb"))
            if not (beside or in_apt(other)):
                sys.exit(f"error: {file.name} depends on {other}, which apt does not know")

    def environment(self):
        """That of the commands: what .deb files brought is found."""
        libraries = ":".join(str(path.parent) for path in self.root.glob("usr/lib/**/libanabranch.so.0"))
        return {**os.environ, **self.arguments, "CMAKE_PREFIX_PATH": str(self.root / "usr"), "LD_LIBRARY_PATH": libraries}

    def run(self, line):
        for command in (part.strip() for part in line.split("&&")):
            words = shlex.split(command)
            if words == ["apt-get", "update"]:
                self.updated = True
            elif words[:2] == ["apt-get", "install"]:
                if "-y" not in words:
                    sys.exit("error: apt-get install asks back without -y")
                self.install(words[2:])
            elif command != CLEAN_UP:
                if re.search(r"(^|\s)/", command):
                    sys.exit(f"error: an absolute path in a command: {command}")
                print(f"run {command}", flush=True)
                # Options with blanks in them are taken apart by a shell, as OPTIONS is by docker's.
                done = subprocess.run(["bash", "-ec", command.replace("$OPTIONS", self.arguments.get("OPTIONS", ""))],
                                      cwd=self.place, env=self.environment(), stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{done.stdout}\nerror: {command}: exit status {done.returncode}")


def main():
    if len(apt_names()) < 10000:  # those that are installed alone
        print("left out: apt has no lists of packages here; apt-get update gets them")
        return
    stages, stage, command = {}, None, None
    for word, rest in instructions():
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stage = Stage(image, name)
            stages[name] = stage
        elif word == "WORKDIR":
            stage.place = stage.inside(rest)
            stage.place.mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            stage.copy(rest.split(), stages)
        elif word == "ARG":
            stage.arguments[rest.partition("=")[0]] = OPTIONS if rest.startswith("OPTIONS=") else ""
        elif word == "RUN":
            stage.run(rest)
        elif word == "CMD":
            command = shlex.split(re.sub(r'[\[\],]', " ", rest))
        elif word != "USER":
            sys.exit(f"error: the test does not know {word}")
    if missing := NEEDED - stages["build"].installed:
        sys.exit(f"error: the build stage does not install {', '.join(sorted(missing))}")
    if "libanabranch0" not in stage.installed:
        sys.exit("error: the last stage does not install libanabranch0")
    output = subprocess.run(command, cwd=stage.place, env=stage.environment(), capture_output=True, text=True, check=True)
    print(output.stdout, end="")
    if not output.stdout.startswith(f"anabranch {VERSION}\ntoken 11 "):
        sys.exit("error: the program of the image does not print the pass of this version")


main()

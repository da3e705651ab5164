"""Conan recipe of the checkout that it lies in; nothing is downloaded:

    conan create cmake/packaging/conan                     the headers and libanabranch
    conan create cmake/packaging/conan -o "&:capi=False"   the headers alone
    conan create cmake/packaging/conan -o "&:fmt=True"     with formatters, over the package fmt

Consumers take the project's own CMake package: find_package(anabranch COMPONENTS core capi).
"""
import re
import shutil
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy

required_conan_version = ">=2.0"


class Anabranch(ConanFile):
    name = "anabranch"
    description = "Branch trees over an LLM KV cache: fork, decode together, join"
    license = "Apache-2.0"
    topics = ("llm", "kv-cache", "parallel-decoding")
    settings = "os", "arch", "compiler", "build_type"
    options = {"capi": [True, False], "fmt": [True, False]}
    default_options = {"capi": True, "fmt": False}

    def _root(self):
        return Path(self.recipe_folder).parents[2]

    def set_version(self):
        project = (self._root() / "CMakeLists.txt").read_text()
        self.version = re.search(r"project\(anabranch\s+VERSION ([\d.]+)", project)[1]

    def export_sources(self):
        for name in ("CMakeLists.txt", "LICENSE"):
            shutil.copy2(self._root() / name, self.export_sources_folder)
        for name in ("cmake", "include", "src", "capi"):
            copy(self, "*", src=self._root() / name, dst=Path(self.export_sources_folder, name),
                 excludes=("*/target/*", "*__pycache__*", "packaging/*"))

    def requirements(self):
        if self.options.fmt:
            self.requires("fmt/[>=9]", transitive_headers=True, transitive_libs=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        parts = {"CAPI": bool(self.options.capi), "FMT": bool(self.options.fmt)}
        others = ("CAPI_STATIC", "ATTENTION", "ATTENTION_C", "CUDA", "EIGEN", "HF", "LINEAR", "LLAMA", "MPI", "SIMD", "TORCH",
                  "TRAIN", "TESTS", "EXAMPLES", "BENCH")
        for name, value in {**parts, **dict.fromkeys(others, False)}.items():
            toolchain.cache_variables[f"ANABRANCH_{name}"] = value
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=str(Path(self.package_folder, "licenses")))
        CMake(self).install()

    def package_id(self):
        if not self.info.options.capi:  # headers alone
            self.info.settings.clear()

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/anabranch"]
        self.cpp_info.libs = ["anabranch"] if self.options.capi else []

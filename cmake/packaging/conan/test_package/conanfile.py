"""Builds and runs the programs of cmake/packaging/example against the package."""
import os
from pathlib import Path

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class Example(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeDeps", "CMakeToolchain", "VirtualRunEnv"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder=str(Path(self.recipe_folder).parents[1] / "example"))
        cmake.build()

    def test(self):
        if can_run(self):
            for program in ("branches_cpp", "branches_c"):
                self.run(os.path.join(self.cpp.build.bindir, program), env="conanrun")

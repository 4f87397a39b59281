"""Build step: experiments.yaml and datasets.yaml, which people edit at the top of the repository, go into the package.

All else is in setup.cfg.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = ("experiments.yaml", "datasets.yaml")


class BuildWithFiles(build_py):
    """Builds the modules and copies the files beside those of `sweeps`; an editable installation reads them here."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            for source, target in self._copies().items():
                self.copy_file(source, target, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return the paths of what is built."""
        return [*super().get_outputs(include_bytecode), *self._copies().values()]

    def get_source_files(self) -> list[str]:
        """Return the paths of what a source distribution must have."""
        return [*super().get_source_files(), *FILES]

    def _copies(self) -> dict[str, str]:
        return {name: str(Path(self.build_lib) / "sweeps" / name) for name in FILES}


setup(cmdclass={"build_py": BuildWithFiles})

//! ONNX Runtime's shared library, from the project's official Python package.

use super::cache::{cache_dir, provide};
use super::system::System;
use super::wheel::{self, Wheel};
use super::{Part, State};
use anyhow::{Context, Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// One pinned build.
struct Build {
    /// Folder in the cache.
    folder: &'static str,
    library: &'static str,
    /// The first wheel holds the library, the others what it loads.
    wheels: &'static [Wheel],
    download_megabytes: u32,
}

const WHY: &str = "to train and to run float models";

const CPU_LINUX_X86_64: Build = Build {
    folder: "onnxruntime-1.32.0",
    library: "libonnxruntime.so.1.32.0",
    wheels: &[Wheel {
        requirement: "onnxruntime==1.32.0",
        platform: "manylinux_2_28_x86_64",
        sha256: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
    }],
    download_megabytes: 28,
};

const CPU_LINUX_AARCH64: Build = Build {
    folder: "onnxruntime-1.32.0",
    library: "libonnxruntime.so.1.32.0",
    wheels: &[Wheel {
        requirement: "onnxruntime==1.32.0",
        platform: "manylinux_2_28_aarch64",
        sha256: "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
    }],
    download_megabytes: 20,
};

const CPU_MACOS_AARCH64: Build = Build {
    folder: "onnxruntime-1.32.0",
    library: "libonnxruntime.1.32.0.dylib",
    wheels: &[Wheel {
        requirement: "onnxruntime==1.32.0",
        platform: "macosx_14_0_arm64",
        sha256: "366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c",
    }],
    download_megabytes: 20,
};

/// The provider looks for CUDA's and cuDNN's libraries by name and has no search path of its own, so they lie in one
/// folder and are loaded before it: see [`cuda_libraries`].
const CUDA_LINUX_X86_64: Build = Build {
    folder: "onnxruntime-gpu-1.31.1",
    library: "libonnxruntime.so.1.31.1",
    wheels: &[
        Wheel {
            requirement: "onnxruntime-gpu==1.31.1",
            platform: "manylinux_2_28_x86_64",
            sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
        },
        Wheel {
            requirement: "nvidia-cuda-runtime==13.5.37",
            platform: "manylinux_2_17_x86_64",
            sha256: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
        },
        Wheel {
            requirement: "nvidia-cublas==13.10.0.20",
            platform: "manylinux_2_5_x86_64",
            sha256: "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84",
        },
        Wheel {
            requirement: "nvidia-cuda-nvrtc==13.5.37",
            platform: "manylinux_2_12_x86_64",
            sha256: "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc",
        },
        Wheel {
            requirement: "nvidia-nvjitlink==13.5.37",
            platform: "manylinux_2_12_x86_64",
            sha256: "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb",
        },
        Wheel {
            requirement: "nvidia-curand==10.4.5.25",
            platform: "manylinux_2_27_x86_64",
            sha256: "22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529",
        },
        Wheel {
            requirement: "nvidia-cufft==12.5.0.14",
            platform: "manylinux_2_17_x86_64",
            sha256: "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad",
        },
        Wheel {
            requirement: "nvidia-cudnn-cu13==9.28.1.4",
            platform: "manylinux_2_27_x86_64",
            sha256: "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec",
        },
    ],
    download_megabytes: 1566,
};

/// Absolute path of the library: `$ORT_DYLIB_PATH` if set, else the cached one, which is installed first if need be.
///
/// `gpu` asks for the build with the CUDA provider.
///
/// # Errors
/// `ORT_DYLIB_PATH` names no file; there is no build for this machine; the download fails or is not the pinned file.
pub fn onnxruntime(gpu: bool) -> Result<PathBuf> {
    if let Some(library) = given()? {
        return Ok(library);
    }
    let build = build(gpu)?;
    let cache = cache_dir()?;
    let folder = provide(&cache, build.folder, |folder| {
        eprintln!(
            "installing {}, {WHY}: {} MB by pip into {}",
            build.wheels[0].requirement,
            build.download_megabytes,
            cache.join(build.folder).display()
        );
        fill(&System::detect(), build, folder)
    })?;
    let library = folder.join(build.library);
    if !library.is_file() {
        bail!("{} is missing: remove {} and run `host setup` again", library.display(), folder.display());
    }
    Ok(library)
}

fn fill(system: &System, build: &Build, folder: &Path) -> Result<()> {
    for wheel in build.wheels {
        let work = tempfile::tempdir_in(folder).context("cannot create a folder for the download")?;
        wheel::libraries(system, wheel, work.path(), folder)?;
    }
    Ok(())
}

/// The folder of CUDA's and cuDNN's libraries beside `library`, to be loaded before it
/// (`ort::ep::cuda::preload_dylibs(Some(folder), Some(folder))`); none if the system's own are meant to serve.
pub fn cuda_libraries(library: &Path) -> Option<&Path> {
    library.parent().filter(|folder| folder.join("libcudnn.so.9").is_file())
}

/// Looks whether the library is there.
pub fn part(gpu: bool) -> Result<Part> {
    let library = match given()? {
        Some(library) => library,
        None => {
            let build = build(gpu)?;
            cache_dir()?.join(build.folder).join(build.library)
        }
    };
    let state = if library.is_file() {
        State::Ready(library.display().to_string())
    } else {
        let build = build(gpu)?;
        State::Missing(format!("pip download {} ({} MB)", build.wheels[0].requirement, build.download_megabytes))
    };
    Ok(Part { name: if gpu { "ONNX Runtime (CUDA)" } else { "ONNX Runtime" }.to_owned(), why: WHY, state })
}

fn given() -> Result<Option<PathBuf>> {
    let Some(library) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) else { return Ok(None) };
    match std::path::absolute(&library) {
        Ok(path) if path.is_file() => Ok(Some(path)),
        _ => bail!("ORT_DYLIB_PATH={} is not a file: correct it, or unset it", library.display()),
    }
}

fn build(gpu: bool) -> Result<&'static Build> {
    match (env::consts::OS, env::consts::ARCH, gpu) {
        ("linux", "x86_64", false) => Ok(&CPU_LINUX_X86_64),
        ("linux", "aarch64", false) => Ok(&CPU_LINUX_AARCH64),
        ("macos", "aarch64", false) => Ok(&CPU_MACOS_AARCH64),
        ("linux", "x86_64", true) => Ok(&CUDA_LINUX_X86_64),
        (os, arch, _) => bail!(
            "no ONNX Runtime{} is known for {os} on {arch}: build one and name its shared library in ORT_DYLIB_PATH",
            if gpu { " with CUDA" } else { "" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::system::Family;
    use super::super::system::tests::fake;
    use super::*;

    #[test]
    fn the_whole_installation_is_undone_when_one_wheel_fails() {
        let cache = tempfile::tempdir().unwrap();
        let programs = tempfile::tempdir().unwrap();
        let system =
            fake(programs.path(), false, Family::Other, &[("python3", "case \"$*\" in *download*) exit 1;; esac")]);
        let error = provide(cache.path(), "ort", |folder| fill(&system, &CPU_LINUX_X86_64, folder)).unwrap_err();
        assert!(error.to_string().contains("pip download onnxruntime==1.32.0` failed"), "{error}");
        assert!(!cache.path().join("ort").exists() && !cache.path().join(".ort.partial").exists());
    }
}

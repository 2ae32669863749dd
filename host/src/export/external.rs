//! Weights that lie beside an ONNX file, in files of their own.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};
use tract_onnx::pb::{ModelProto, TensorProto};

/// Reads the external data of every initialiser of `model`, whose file lies in `folder`, into it.
///
/// # Errors
/// A file that is missing, too short, or outside the folder: the sentence names it and the initialiser.
pub fn load(model: &mut ModelProto, folder: &Path) -> Result<()> {
    let initialisers = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for tensor in initialisers.filter(|tensor| tensor.data_location == Some(1)) {
        tensor.raw_data = data(tensor, folder).with_context(|| format!("initialiser {}", tensor.name))?;
        tensor.data_location = None;
        tensor.external_data.clear();
    }
    Ok(())
}

fn data(tensor: &TensorProto, folder: &Path) -> Result<Vec<u8>> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let number = |key: &str| -> Result<Option<u64>> {
        let value = entry(key).map(|value| value.parse());
        value.transpose().with_context(|| format!("its {key} is no number; export the model again"))
    };
    let location =
        Path::new(entry("location").context("it names no file that holds its data; export the model again")?);
    let is_inside = location.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    ensure!(is_inside, "its data lie in {}, outside the model's folder, where nothing is read", location.display());
    let path = folder.join(location);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => bail!(
            "its {}data lie in {}, which cannot be read ({error}); put that file beside the ONNX file",
            number("length")?.map_or(String::new(), |length| format!("{length} bytes of ")),
            path.display()
        ),
    };
    file.seek(SeekFrom::Start(number("offset")?.unwrap_or(0)))?;
    let mut bytes = Vec::new();
    let length = number("length")?;
    file.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    ensure!(
        length.is_none_or(|length| bytes.len() as u64 == length),
        "{} ends before its data do; copy the file again",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use super::*;
    use tract_onnx::pb::StringStringEntryProto;

    #[test]
    fn weights_in_another_file_are_read_or_missed() {
        let folder = tempfile::tempdir().unwrap();
        let whole = Sketch::new(&[2], 60).node("Gemm", &[&[2, 3]], vec![]).finish(&[3]);
        let mut model = whole.clone();
        let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
        let bytes = std::mem::take(&mut tensor.raw_data);
        tensor.data_location = Some(1);
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        tensor.external_data = vec![entry("location", "weights.bin"), entry("offset", "4"), entry("length", "24")];
        let refusal = |model: &ModelProto| format!("{:#}", load(&mut model.clone(), folder.path()).unwrap_err());
        let missing = refusal(&model);
        assert!(missing.contains("initialiser gemm0.constant0: its 24 bytes of data lie in"), "{missing}");
        assert!(missing.contains("put that file beside"), "{missing}");
        std::fs::write(folder.path().join("weights.bin"), [&[9; 4], &bytes[..20]].concat()).unwrap();
        assert!(refusal(&model).contains("ends before its data do"));
        std::fs::write(folder.path().join("weights.bin"), [&[9; 4], &bytes[..]].concat()).unwrap();
        let mut read = model.clone();
        load(&mut read, folder.path()).unwrap();
        assert_eq!(read, whole);
        model.graph.as_mut().unwrap().initializer[0].external_data[0].value = "../weights.bin".into();
        assert!(refusal(&model).contains("outside the model's folder"));
    }
}

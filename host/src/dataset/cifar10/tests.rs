use super::*;
use crate::dataset::download::testing::mirror;
use std::io::Write;

/// A record of each label in `labels`, the planes of which are 1, 2 and 3 but for the second pixel.
fn records(labels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &label in labels {
        bytes.push(label);
        for channel in 1..=3 {
            let mut plane = [channel; SIDE * SIDE];
            plane[1] = 10 * channel;
            bytes.extend(plane);
        }
    }
    bytes
}

#[test]
fn planes_become_pixels_and_are_written_back() {
    let bytes = records(&[3, 9]);
    let images = binary::parse(&bytes, 2).unwrap();
    assert_eq!((images.len(), images.size(), images.labels.as_slice()), (2, 3072, [3, 9].as_slice()));
    assert_eq!(images.pixels[..9], [1, 2, 3, 10, 20, 30, 1, 2, 3]);
    let folder = tempfile::tempdir().unwrap();
    binary::write(folder.path(), "test_batch", &images).unwrap();
    assert_eq!(std::fs::read(folder.path().join("test_batch.bin")).unwrap(), bytes);
}

#[test]
fn truncated_longer_and_mislabelled_parts_are_refused() {
    let bytes = records(&[0, 10]);
    for length in [0, 1, 3072, 3073, 6145] {
        let error = binary::parse(&bytes[..length], 2).unwrap_err().to_string();
        assert_eq!(error, format!("the file is truncated: {length} of 6146 bytes"));
    }
    assert!(binary::parse(&bytes, 1).unwrap_err().to_string().contains("longer than its 3073 bytes"));
    assert_eq!(binary::parse(&bytes, 2).unwrap_err().to_string(), "label 1 is 10, expected 0 to 9");
}

#[test]
fn a_truncated_or_missing_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_folder(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("there are no CIFAR-10 images in "), "{error}");
    std::fs::write(folder.path().join("data_batch_1.bin"), records(&[1])).unwrap();
    let error = format!("{:#}", read_folder(folder.path()).unwrap_err());
    assert!(error.contains("data_batch_1.bin: the file is truncated: 3073 of 30730000 bytes"), "{error}");
    std::fs::write(folder.path().join("data_batch_1.bin"), records(&vec![1; BATCH])).unwrap();
    let error = format!("{:#}", read_folder(folder.path()).unwrap_err());
    assert!(error.starts_with("cannot read ") && error.contains("data_batch_2.bin"), "{error}");
}

/// An archive with the parts `names`.
fn archive(path: &Path, names: &[&str]) {
    let encoder = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    for name in names {
        let bytes = records(&[7]);
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{}/{name}", archive::FOLDER), bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap().flush().unwrap();
}

#[test]
fn the_archive_is_unpacked_and_what_it_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(archive::NAME);
    let files = BATCHES.map(|batch| format!("{batch}.bin"));
    let mut names: Vec<&str> = files.iter().map(String::as_str).chain(["readme.html"]).collect();
    archive(&path, &names);
    archive::unpack(&path, folder.path()).unwrap();
    assert_eq!(std::fs::read(binary::file(folder.path(), "test_batch")).unwrap(), records(&[7]));
    assert!(!folder.path().join("readme.html").exists());
    names.remove(2);
    archive(&path, &names);
    let error = archive::unpack(&path, folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("holds no cifar-10-batches-bin/data_batch_3.bin"), "{error}");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = format!("{:#}", archive::unpack(&path, folder.path()).unwrap_err());
    assert!(error.contains("is truncated or damaged"), "{error}");
}

#[test]
fn another_archive_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(archive::NAME), b"abc").unwrap();
    let error = read_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cifar-10-binary.tar.gz has SHA-256 ba7816bf"), "{error}");
    let cache = tempfile::tempdir().unwrap();
    let error = format!("{:#}", cached(cache.path(), &mirror(b"abc", 3), SHA256).unwrap_err());
    assert!(error.contains("--data DIR") && error.contains("expected c4a38c50"), "{error}");
    let left: Vec<_> = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["cifar10.lock"]);
}

#[test]
fn strips_hold_images_one_below_the_other() {
    let images = binary::parse(&records(&[1, 2]), 2).unwrap();
    let mut bytes = Vec::new();
    let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
    encoder.encode(&images.pixels, 32, 64, image::ExtendedColorType::Rgb8).unwrap();
    assert_eq!(strips::decode(&bytes, 2).unwrap(), images.pixels);
    let error = strips::decode(&bytes, 3).unwrap_err().to_string();
    assert_eq!(error, "the strip has 32×64 pixels, expected 32×96");
    assert!(strips::decode(&bytes[..bytes.len() / 2], 2).is_err());
}

use super::*;
use crate::dataset::download::testing::mirror;
use flate2::{Compression, write::GzEncoder};
use lzma_rust2::{XzOptions, XzWriter};
use std::fs::{self, File};
use std::io::Write;
use std::sync::LazyLock;
use tempfile::{TempDir, tempdir};

/// Reviews of the small set, file and text; the order is not the one that they are given in.
const SMALL: [(&str, &str); 8] = [
    ("train/pos/9_8.txt", "Loved it.<br /><br />Loved it!"),
    ("train/pos/10_10.txt", "It's\tgreat"),
    ("train/neg/0_1.txt", "Bad."),
    ("train/neg/1_4.txt", "loved it? no"),
    ("test/pos/0_7.txt", "Great\u{85} CAFÉ"),
    ("test/pos/1_9.txt", "It's\tgreat"),
    ("test/neg/0_2.txt", "bad."),
    ("test/neg/1_1.txt", "Bad."),
];
const SMALL_TABLE: &str = "split\tlabel\tid\trating\ttext
test\t0\t1\t1\tBad.
test\t0\t0\t2\tbad.
test\t1\t1\t9\tIt's\tgreat
test\t1\t0\t7\tGreat\u{85} CAFÉ
train\t0\t0\t1\tBad.
train\t0\t1\t4\tloved it? no
train\t1\t9\t8\tLoved it.<br /><br />Loved it!
train\t1\t10\t10\tIt's\tgreat
";
/// `x_train.npy` of the small set, by NumPy 1.13 on Python 2.7 where it describes the array.
const SMALL_TRAIN: &[u8] =
    b"\x93NUMPY\x01\x00\x40\x00{'descr': '|O', 'fortran_order': False, 'shape': (4,), }       \n\
    \x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x04\x85\
    cnumpy\ndtype\nq\x04U\x02O8K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89\
    ]q\x06(]q\x07(K\x03K\x04e]q\x08(K\x01K\x02K\x05K\x05K\x01K\x02e]q\x09K\x06a]q\x0a(K\x01K\x02K\x07eetb.";

fn reviews_of(texts: [(&str, bool); 4]) -> Vec<Review> {
    texts.map(|(text, positive)| Review { text: text.to_owned(), positive }).to_vec()
}

fn expected() -> Reviews {
    let loved = "Loved it.<br /><br />Loved it!";
    Reviews {
        train: reviews_of([("It's\tgreat", true), (loved, true), ("Bad.", false), ("loved it? no", false)]),
        test: reviews_of([("Great\u{85} CAFÉ", true), ("It's\tgreat", true), ("bad.", false), ("Bad.", false)]),
    }
}

/// The small set as a tree, in `root`.
fn tree(root: &Path) {
    for (name, text) in SMALL {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// The small set as a tar archive, with what else the original holds.
fn tar(reviews: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let others: [(&str, &[u8]); 3] =
        [("README", b"read me"), ("train/unsup/0_0.txt", b"?"), ("train/urls_pos.txt", b"")];
    for (name, text) in reviews.iter().chain(&others) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("aclImdb/{name}"), *text).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn small_tar() -> Vec<u8> {
    tar(&SMALL.map(|(name, text)| (name, text.as_bytes())))
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// An array of NumPy whose `form` is not that of objects.
fn integers(form: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{form}', 'fortran_order': False, 'shape': (4,), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), bytes].concat()
}

/// A folder with Keras' form of the small set, with these arrays for training and this index.
fn keras(x_train: &[u8], y_train: &[u8], index: &str) -> TempDir {
    let folder = tempdir().unwrap();
    let mut zip = zip::ZipWriter::new(File::create(folder.path().join("imdb.npz")).unwrap());
    let labels = integers("|i1", &[1, 1, 0, 0]);
    for (name, bytes) in [("x_train", x_train), ("y_train", y_train), ("x_test", x_train), ("y_test", &labels)] {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    fs::write(folder.path().join("imdb_word_index.json"), index).unwrap();
    folder
}

const INDEX: &str = r#"{"it": 2, "loved": 1, "it's": 3, "great": 4, "br": 5, "bad": 6, "no": 7}"#;

fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

/// The sentence about a folder that holds something wrong.
fn refusal(folder: &TempDir) -> String {
    format!("{:#}", read_folder(folder.path(), 2).unwrap_err())
}

#[test]
fn every_source_of_texts_gives_the_same_reviews_in_the_same_order() {
    let folder = tempdir().unwrap();
    tree(folder.path());
    fs::write(folder.path().join("train/pos/.listing"), [0xFF]).unwrap();
    assert_eq!(read_folder(folder.path(), 2).unwrap(), expected(), "a tree");
    let folder = tempdir().unwrap();
    tree(&folder.path().join("aclImdb"));
    assert_eq!(read_folder(folder.path(), 2).unwrap(), expected(), "a tree in its folder");
    for (name, bytes) in [
        ("aclImdb_v1.tar.gz", small_tar()),
        ("aclImdb_reviews.tsv", SMALL_TABLE.into()),
        ("aclImdb_reviews.tsv.xz", xz(SMALL_TABLE.as_bytes())),
    ] {
        assert_eq!(read_folder(folder_with(name, &bytes).path(), 2).unwrap(), expected(), "{name}");
    }
}

#[test]
fn keras_form_gives_words() {
    let labels = integers("<i8", &[1, 1, 0, 0].map(|label: i64| label.to_le_bytes()).concat());
    let reviews = read_folder(keras(SMALL_TRAIN, &labels, INDEX).path(), 2).unwrap();
    let texts = [("it's great", true), ("loved it br br loved it", true), ("bad", false), ("loved it no", false)];
    assert_eq!(reviews.train, reviews_of(texts));
    // What a net can see of the words is the same as in the texts.
    let mut texts = expected();
    texts.test.clone_from(&texts.train);
    assert_eq!(content(&texts), content(&reviews));
}

#[test]
fn test_reviews_that_were_trained_on_are_found() {
    assert_eq!(duplicates(&expected()), [false, true, false, true]);
}

#[test]
fn a_folder_without_reviews_tells_what_it_could_hold() {
    let error = refusal(&tempdir().unwrap());
    assert!(error.contains("aclImdb_v1.tar.gz") && error.contains("imdb.npz"), "{error}");
}

#[test]
fn trees_with_gaps_are_refused() {
    let folder = tempdir().unwrap();
    tree(folder.path());
    let path = |name: &str| folder.path().join(name);
    fs::write(path("test/neg/2_1.txt"), "one more").unwrap();
    assert!(refusal(&folder).contains("test/neg holds 3 reviews, expected 2"));
    fs::remove_file(path("test/neg/2_1.txt")).unwrap();

    fs::write(path("train/pos/9_8.txt"), b"caf\xE9").unwrap();
    let error = refusal(&folder);
    assert!(error.contains("train/pos/9_8.txt: the text is not UTF-8 from its byte 3 on"), "{error}");

    fs::rename(path("train/pos/9_8.txt"), path("train/pos/9_3.txt")).unwrap();
    assert!(refusal(&folder).contains("a review with 3 of 10 stars does not belong to train/pos"));
    fs::rename(path("train/pos/9_3.txt"), path("train/pos/nine.txt")).unwrap();
    assert!(refusal(&folder).contains("`nine` is not <number>_<rating>"));

    fs::remove_dir_all(path("test/neg")).unwrap();
    fs::remove_file(path("train/pos/nine.txt")).unwrap();
    assert!(refusal(&folder).starts_with("there is no folder test/neg in "));
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    for (name, bytes, reason) in [
        ("aclImdb_v1.tar.gz", small_tar(), "aclImdb_v1.tar.gz: the archive is truncated"),
        ("aclImdb_reviews.tsv.xz", xz(SMALL_TABLE.as_bytes()), "aclImdb_reviews.tsv.xz is truncated"),
        ("aclImdb_reviews.tsv", SMALL_TABLE.into(), "aclImdb_reviews.tsv: "),
    ] {
        let folder = tempdir().unwrap();
        for length in 0..bytes.len() {
            fs::write(folder.path().join(name), &bytes[..length]).unwrap();
            let error = refusal(&folder);
            assert!(error.contains(reason), "{length} bytes: {error}");
        }
    }
}

#[test]
fn archives_name_the_review_that_is_wrong() {
    let refused = |changed: (&'static str, &'static [u8])| {
        let mut reviews = SMALL.map(|(name, text)| (name, text.as_bytes()));
        reviews[0] = changed;
        refusal(&folder_with("aclImdb_v1.tar.gz", &tar(&reviews)))
    };
    let error = refused(("train/pos/9_8.txt", b"\xE9t\xE9"));
    assert!(error.contains("aclImdb/train/pos/9_8.txt: the text is not UTF-8 from its byte 0 on"), "{error}");
    assert!(refused(("train/pos/10_10.txt", b"again")).contains("train/pos holds the review 10_10 twice"));
    assert!(refused(("train/other/10_10.txt", b"elsewhere")).contains("train/pos holds 1 reviews, expected 2"));
}

#[test]
fn tables_name_the_line_that_is_wrong() {
    let refused = |from: &str, to: &[u8]| {
        let (before, after) = SMALL_TABLE.split_once(from).unwrap();
        let bytes = [before.as_bytes(), to, after.as_bytes()].concat();
        refusal(&folder_with("aclImdb_reviews.tsv", &bytes))
    };
    assert!(refused("split", b"part").contains(r"line 1 is not `split\tlabel\tid\trating\ttext`"));
    assert!(refused("Great\u{85} CAFÉ", b"Great caf\xE9").contains("line 5: the text is not UTF-8 from its byte 9 on"));
    assert!(refused("test\t0\t0\t2\t", b"test\t0\t0\t").contains("line 3: there are fewer than five fields"));
    assert!(refused("train\t1\t9", b"train\t2\t9").contains("line 8: `train` `2` is not train or test, 0 or 1"));
    assert!(refused("train\t1\t9", b"train\t1\t\xFF").contains(r"line 8: `\xff_8` is not <number>_<rating>"));
    assert!(refused("train\t1\t9", b"train\t0\t9").contains("line 8: a review with 8 of 10 stars does not belong"));
    assert!(refused("test\t1\t1\t9", b"test\t1\t0\t7").contains("test/pos holds the review 0_7 twice"));
}

#[test]
fn damaged_keras_files_are_refused() {
    let labels = integers("|u1", &[1, 1, 0, 0]);
    let refused = |x: &[u8], y: &[u8], index: &str, reason: &str| {
        let error = refusal(&keras(x, y, index));
        assert!(error.contains(reason), "{error}");
    };
    refused(SMALL_TRAIN, &labels, &INDEX.replace("7", "9"), "imdb_word_index.json: `no` has the rank 9");
    refused(SMALL_TRAIN, &labels, &INDEX.replace("7", "0"), "imdb_word_index.json: `no` has the rank 0");
    refused(SMALL_TRAIN, &labels, r#"{"it": 1}"#, "imdb.npz: x_train: review 0: the index has no word 3");
    refused(SMALL_TRAIN, &labels, "[", "imdb_word_index.json");
    refused(SMALL_TRAIN, &integers("|u1", &[1, 1, 0]), INDEX, "x_train: 4 reviews with 3 labels");
    refused(SMALL_TRAIN, &integers("|u1", &[1, 0, 0, 0]), INDEX, "train/pos holds 1 reviews, expected 2");
    refused(SMALL_TRAIN, &integers("|u1", &[1, 1, 0, 2]), INDEX, "y_train: it holds numbers beside 0 and 1");
    refused(SMALL_TRAIN, &integers("<f8", &[0; 32]), INDEX, "y_train: it holds <f8, expected integers");
    refused(&labels, &labels, INDEX, "x_train: it holds |u1, expected Python objects");
    refused(b"x", &labels, INDEX, "x_train: it is no array of NumPy");
    for length in 0..SMALL_TRAIN.len() {
        refused(&SMALL_TRAIN[..length], &labels, INDEX, "imdb.npz: x_train: ");
    }
    let folder = keras(SMALL_TRAIN, &labels, INDEX);
    let path = folder.path().join("imdb.npz");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(refusal(&folder).contains("imdb.npz is no zip archive, or truncated"));
    fs::remove_file(folder.path().join("imdb_word_index.json")).unwrap();
    assert!(refusal(&folder).contains("imdb_word_index.json"));
}

#[test]
fn a_download_is_kept_only_if_its_words_are_the_right_ones() {
    let cache = tempdir().unwrap();
    let packed = small_tar();
    let url = mirror(packed.clone(), packed.len());
    let right = content(&expected());
    let wrong = format!("{:#}", cached(cache.path(), &url, CONTENT, 2).unwrap_err());
    assert!(
        wrong.contains("--data DIR") && wrong.contains(&format!("words is {right}, expected {CONTENT}")),
        "{wrong}"
    );
    let short = mirror(&packed[..packed.len() - 9], packed.len() - 9);
    let short = format!("{:#}", cached(cache.path(), &short, &right, 2).unwrap_err());
    assert!(short.contains("truncated or damaged"), "{short}");
    let left: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["imdb.lock"]);
    let folder = cached(cache.path(), &url, &right, 2).unwrap();
    assert_eq!(read_folder(&folder, 2).unwrap(), expected());
}

/// The real data's folder and its reviews, if there is one; loaded once.
fn real() -> Option<&'static (PathBuf, Reviews)> {
    static REAL: LazyLock<Option<(PathBuf, Reviews)>> = LazyLock::new(|| {
        let folder = Path::new(&std::env::var_os("HOST_DATA")?).join(NAME);
        folder.is_dir().then(|| (folder, reviews(None).unwrap()))
    });
    if REAL.is_none() {
        eprintln!("skipped: HOST_DATA names no folder with film reviews");
    }
    REAL.as_ref()
}

#[test]
fn the_real_reviews_are_those_that_everybody_uses() {
    let Some((_, reviews)) = real() else { return };
    for part in [&reviews.train, &reviews.test] {
        let positive = part.iter().take_while(|review| review.positive).count();
        assert_eq!((part.len(), positive), (25_000, 12_500));
        assert!(part[12_500..].iter().all(|review| !review.positive));
    }
    assert!(reviews.train[0].text.starts_with("Bromwell High is a cartoon comedy. It ran at the same time"));
    assert_eq!(duplicates(reviews).iter().filter(|&&duplicate| duplicate).count(), 123);
    assert_eq!(content(reviews), CONTENT);
}

/// All 88,584 words at their places, also those that are equally frequent.
#[test]
fn the_ranks_of_the_real_words_are_those_of_keras() {
    let Some((folder, reviews)) = real() else { return };
    let ranking = ranking(reviews.train.iter().map(|review| review.text.as_str()));
    assert_eq!(ranking.len(), 88_584);
    assert_eq!(ranking[..8], ["the", "and", "a", "of", "to", "is", "br", "in"]);
    if folder.join(keras::NAME).is_file() {
        assert!(ranking == keras::index(&folder.join(keras::INDEX)).unwrap()[1..], "the ranks differ from Keras'");
    }
}

/// The texts and Keras' form hold the same words in the same order.
#[test]
fn the_real_texts_hold_the_words_of_keras_form() {
    let Some(path) = real().map(|(folder, _)| folder.join(keras::NAME)).filter(|path| path.is_file()) else { return };
    let reviews = keras::read(&path).unwrap().into_reviews(&path, FOLDER_REVIEWS).unwrap();
    assert_eq!(content(&reviews), CONTENT);
    assert_eq!(duplicates(&reviews).iter().filter(|&&duplicate| duplicate).count(), 123);
}

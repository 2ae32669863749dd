use super::load::find_from;
use super::*;
use std::path::Path;

const MNIST: &str = include_str!("../../../models/mnist-cnn/recipe.toml");
const AUTOENCODER: &str = include_str!("../../../models/mnist-autoencoder/recipe.toml");

/// The error of the digit recipe with `old` replaced by `new`.
fn error(old: &str, new: &str) -> String {
    error_of(MNIST, old, new)
}

/// The error of `recipe` with `old` replaced by `new`.
fn error_of(recipe: &str, old: &str, new: &str) -> String {
    assert!(recipe.contains(old), "{old}");
    Recipe::parse(&recipe.replacen(old, new, 1), "recipe.toml").unwrap_err().to_string()
}

/// Each case: what is replaced in `recipe` by what, and part of the message.
fn assert_refused(recipe: &str, cases: &[(&str, &str, &str)]) {
    for (old, new, message) in cases {
        let error = error_of(recipe, old, new);
        assert!(error.starts_with("recipe.toml:") && error.contains(message), "{new}: {error}");
    }
}

/// Line of the recipe that holds `text`.
fn line(text: &str) -> usize {
    MNIST.lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn the_shipped_recipes_load() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    for entry in std::fs::read_dir(models).unwrap() {
        let file = entry.unwrap().path().join("recipe.toml");
        Recipe::load(&file).unwrap();
    }
}

#[test]
fn the_digit_net_has_the_published_shapes() {
    let recipe = Recipe::parse(MNIST, "").unwrap();
    let image = |extent, channels| Shape::Image { height: extent, width: extent, channels };
    let flat = |length| Shape::Flat { length };
    let expected = [
        image(26, 32),
        image(13, 32),
        image(11, 64),
        image(5, 64),
        flat(1600),
        flat(1600),
        flat(128),
        flat(128),
        flat(10),
    ];
    assert_eq!(recipe.shapes().unwrap(), expected);
}

#[test]
fn same_padding_and_stride_round_up() {
    let text = MNIST.replacen("kernel = 3", "kernel = 5\nstride = 3\npadding = \"same\"", 1);
    let recipe = Recipe::parse(&text, "").unwrap();
    assert_eq!(recipe.shapes().unwrap()[0], Shape::Image { height: 10, width: 10, channels: 32 });
}

#[test]
fn mistakes_are_reported_with_place_and_expectation() {
    // What is replaced by what, the text at whose start the error points, and part of the message.
    let cases = [
        // Unknown keys, the allowed ones listed.
        ("epochs = 12", "epoch = 12", "epoch =", "unknown field `epoch`, expected one of `epochs`"),
        ("filters = 32", "filter = 32", "filter =", "unknown field `filter`, expected one of `filters`"),
        ("decay = 0.02", "weight-decay = 0.02", "weight-decay", "unknown field `weight-decay`, expected one of `rate`"),
        ("shear = 0.15", "sheer = 0.15", "sheer", "unknown field `sheer`, expected one of `rotation`"),
        // Wrong types and names.
        ("epochs = 12", "epochs = \"12\"", "\"12\"", "invalid type: string \"12\", expected usize"),
        (
            "source = \"mnist\"",
            "source = \"mnits\"",
            "\"mnits\"",
            "unknown variant `mnits`, expected one of `mnist`, `strokes`, `camera`, `cifar10`, `imdb`",
        ),
        ("type = \"flatten\"", "type = \"flat\"", "\"flat\"", "unknown variant `flat`, expected one of `conv2d`"),
        ("epochs = 12", "epochs = dozen", "dozen", "string values must be quoted"),
        // Values that make no sense.
        ("epochs = 12", "epochs = 0", "epochs = 0", "epochs is 0, expected 1 to"),
        ("batch = 128", "batch = 55001", "batch", "batch is 55001, expected 1 to 55000"),
        ("validation = 5000", "validation = 60000", "validation = 6", "validation is 60000, expected 0 to 59999"),
        ("rate = 2e-3", "rate = -2e-3", "rate = -2e-3", "rate is -0.002, expected more than 0"),
        ("rate = 2e-3", "rate = nan", "rate = nan", "rate is NaN, expected more than 0"),
        ("rate = 0.1", "rate = 1.0", "rate = 1.0", "layer 6 (dropout): rate is 1, expected 0 or more and below 1"),
        (
            "validation = 5000",
            "validation = 0",
            "temperature =",
            "temperature is fitted on held-back samples: hold some back in [data]",
        ),
        ("ema = 0.999", "ema = 1.0", "ema =", "ema is 1, expected more than 0 and below 1"),
        ("warm-up = 0.1", "warm-up = 1.5", "warm-up", "warm-up is 1.5, expected 0 or more and below 1"),
        ("shear = 0.15", "erasing = 25.0", "erasing", "erasing is 25, expected 0 to 1"),
        ("name = \"mnist-cnn\"", "name = \"../up\"", "name", "name `../up`: expected ASCII letters"),
        // Shapes.
        ("size = 2", "size = 27", "size = 27", "layer 2 (max-pool2d): size is 27, but its input is 26×26"),
        ("kernel = 3", "kernel = 29", "kernel = 29", "layer 1 (conv2d): kernel is 29, but its input is 28×28"),
        ("filters = 32", "filters = 0", "filters = 0", "layer 1 (conv2d): filters is 0, expected 1 to 65536"),
        (
            "units = 10\n",
            "units = 11\n",
            "[[layers]]\ntype = \"dense\"\nunits = 11",
            "layer 9 (dense): the last layer gives 11 values",
        ),
    ];
    for (old, new, marker, message) in cases {
        let text = MNIST.replacen(old, new, 1);
        let before = &text[..text.find(marker).unwrap()];
        let column = before.chars().rev().take_while(|&character| character != '\n').count() + 1;
        let expected = format!("recipe.toml:{}:{column}: ", before.matches('\n').count() + 1);
        let error = error(old, new);
        assert!(
            error.starts_with(&expected) && error.contains(message),
            "{new}: expected {expected}{message}, found {error}"
        );
    }
}

#[test]
fn a_loss_needs_the_target_and_the_layer_that_it_judges() {
    let cases = [
        ("target = \"input\"\n", "", "the last layer gives 784 values, expected one value for each of the 10 classes"),
        (
            "units = 784",
            "units = 783",
            "the last layer gives 783 values, expected one value for each of the 784 values",
        ),
        ("binary-cross-entropy", "cross-entropy", "the loss cross-entropy needs `target = \"class\"` in [data]"),
        ("activation = \"sigmoid\"", "", "needs a last layer of type dense with a sigmoid"),
    ];
    assert_refused(AUTOENCODER, &cases);
    let error = error(
        "loss = { type = \"cross-entropy\", label-smoothing = 0.05 }",
        "loss = { type = \"binary-cross-entropy\" }",
    );
    assert!(error.contains("needs `target = \"input\"`"), "{error}");
}

#[test]
fn a_missing_key_names_its_table() {
    let error = error("batch = 128\n", "");
    assert_eq!(error, format!("recipe.toml:{}:1: missing field `batch`", line("[training]")));
}

#[test]
fn a_layer_in_the_wrong_place_is_named_with_its_line() {
    let flatten = "[[layers]]\ntype = \"flatten\"\n\n";
    let error = error(flatten, "");
    let dense = line("type = \"dense\"") - flatten.lines().count() - 1;
    let expected = format!("recipe.toml:{dense}:1: layer 6 (dense): input is 5×5×64, expected a flat one");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn models_are_found_by_name_upwards_and_by_path() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("models/mnist-cnn");
    let below = root.path().join("some/where");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::create_dir_all(&below).unwrap();
    std::fs::write(dir.join("recipe.toml"), MNIST).unwrap();
    for (here, model) in [
        (below.as_path(), "mnist-cnn"),
        (root.path(), "models/mnist-cnn"),
        (root.path(), "models/mnist-cnn/recipe.toml"),
        (&below, dir.to_str().unwrap()),
    ] {
        let found = find_from(here, model).unwrap();
        assert_eq!((found.dir.as_path(), found.root()), (dir.as_path(), root.path()), "{model}");
    }
    let error = find_from(&below, "nothing").unwrap_err().to_string();
    assert!(error.contains("no model `nothing`: known are mnist-cnn"), "{error}");
    let error = find_from(&below, "../models/mnist-cnn/../../x").unwrap_err().to_string();
    assert!(error.contains("no model"), "{error}");
}

#[test]
fn a_copied_recipe_with_its_old_name_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("models/mine");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("recipe.toml"), MNIST).unwrap();
    let error = find_from(root.path(), "mine").unwrap_err().to_string();
    assert!(error.contains("name is `mnist-cnn`, expected `mine`"), "{error}");
}

#[test]
fn a_generator_by_classes_needs_room_for_them_on_both_sides() {
    const GAN: &str = include_str!("../../../models/mnist-gan/recipe.toml");
    let cases = [
        ("latent = 128", "latent = 10", "latent is 10, expected 11 to 65536"),
        ("units = 11", "units = 1", "expected one logit and one for each of the 10 classes"),
        ("classes = true", "classes = false", "the last layer gives 11 values, expected one logit"),
        ("ema = 0.999", "temperature = true", "temperature divides logits: it needs the loss cross-entropy"),
    ];
    assert_refused(GAN, &cases);
}

//! A GAN of a few parameters, whole.

use super::*;
use crate::dataset::{Dataset, Images, Samples};
use crate::recipe::Recipe;
use crate::runtime::Inference;
use crate::train::step::Kind;
use crate::train::{Options, Summary, run};
use std::path::Path;
use std::sync::atomic::AtomicBool;

const RECIPE: &str = r#"
name = "tiny"
data = { source = "mnist", target = "sample", validation = 0 }
layers = [
    { type = "dense", units = 32, batch-norm = true, activation = "leaky-relu" },
    { type = "reshape", height = 4, width = 4, channels = 2 },
    { type = "conv-transpose2d", filters = 3, kernel = 4, stride = 2, padding = "same", batch-norm = true, activation = "leaky-relu" },
    { type = "conv2d", filters = 1, kernel = 3, padding = "same", activation = "tanh" },
]
adversary = { latent = 5, rate = 0.5, layers = [
    { type = "conv2d", filters = 4, kernel = 3, stride = 2, padding = "same", batch-norm = true, activation = "leaky-relu" },
    { type = "flatten" },
    { type = "dense", units = 1 },
] }
training = { epochs = 30, batch = 8, seed = 5, ema = 0.9, loss = { type = "adversarial", real = 0.9 }, optimizer = { type = "adam", rate = 0.002, beta1 = 0.5 } }
"#;

fn recipe() -> Recipe {
    toml::from_str(RECIPE).unwrap()
}

/// Images of a bright square on black, somewhere.
fn dataset() -> Dataset {
    let (height, width, count) = (8, 8, 40);
    let mut pixels = vec![0; count * height * width];
    for (sample, image) in pixels.chunks_exact_mut(height * width).enumerate() {
        for i in 0..9 {
            image[(sample % 5 + i / 3) * width + sample / 8 + i % 3] = 255;
        }
    }
    let images = Images { height, width, channels: 1, pixels, labels: vec![0; count] };
    Dataset::of_images(images.clone(), images, vec!["square".into()])
}

fn train(recipe: &Recipe, directory: &Path, resume: bool) -> Result<Summary> {
    run(&options(recipe, &dataset(), directory, resume))
}

fn options<'a>(recipe: &'a Recipe, dataset: &'a Dataset, directory: &'a Path, resume: bool) -> Options<'a> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    Options { recipe, dataset, device: Device::Cpu, init: None, resume, directory, stop: &NEVER, show: false }
}

fn pair(recipe: &Recipe) -> (Network, Pair) {
    let adversary = recipe.adversary.as_ref().unwrap();
    let generator = Network::new(&recipe.layers, Input::Latent(adversary.latent)).unwrap();
    let pair = Pair::new(&generator, adversary, [1, 8, 8], &recipe.training, Device::Cpu).unwrap();
    (generator, pair)
}

/// A state whose discriminator is all zeros: it says a half to all, and tells the generator nothing.
fn undecided(network: &Network, pair: &Pair) -> Vec<Vec<f32>> {
    let mut state = pair.initial_state(&crate::train::initial(network, 1));
    for (tensor, values) in pair.tensors().iter().zip(&mut state) {
        if tensor.name.starts_with("discriminator.") {
            values.fill(0.0);
        }
    }
    state
}

fn batch() -> Batch {
    let latents = Latents::draw(1, 8, recipe().prior().unwrap(), None);
    vec![dataset().train.images().unwrap().nchw(0..8), (0..8).flat_map(|index| latents.real(index)).collect()]
}

#[test]
fn each_net_learns_in_its_own_step_alone() {
    let (network, mut pair) = pair(&recipe());
    let start = undecided(&network, &pair);
    pair.set_state(&start).unwrap();
    let measured = pair.step(&batch(), 1, 1.0).unwrap();
    assert!((measured.loss - 2_f32.ln()).abs() < 1e-6, "{measured:?}");
    let after = pair.state().unwrap();
    for ((tensor, before), after) in pair.tensors().iter().zip(&start).zip(&after) {
        let generators = !tensor.name.starts_with("discriminator.");
        // Running means are measured; those of zeros are as they start.
        let is_mean = tensor.name.ends_with(".mean") || tensor.name.ends_with(".variance");
        let is_measured = tensor.kind == Kind::Parameter && is_mean;
        assert!(before != after || !is_measured || !generators, "{} is not measured", tensor.name);
        let is_bias_of_the_last = tensor.name.starts_with("discriminator.dense1.bias");
        assert!(before == after || !generators || is_measured, "{} moved without a gradient", tensor.name);
        assert!(before != after || !is_bias_of_the_last, "{} did not learn", tensor.name);
    }
    // The second step meets a discriminator that has learnt.
    let measured = pair.step(&batch(), 2, 1.0).unwrap();
    assert!((measured.loss - 2_f32.ln()).abs() > 1e-6, "the generator's step does not read the new discriminator");
}

#[test]
fn a_run_leaves_drawings_and_goes_on_where_it_stopped() {
    for recipe in [recipe(), by_classes()] {
        let folder = tempfile::tempdir().unwrap();
        let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
        let straight = train(&recipe, &whole, false).unwrap();
        let mut shorter = recipe.clone();
        shorter.training.epochs = 11;
        train(&shorter, &parts, false).unwrap();
        let resumed = train(&recipe, &parts, true).unwrap();
        let [straight, resumed] = [straight, resumed].map(|run| std::fs::read(run.model.unwrap()).unwrap());
        assert!(straight == resumed, "the weights differ");
        let grid = image::open(whole.join("samples/epoch-030.png")).unwrap().into_luma8();
        assert_eq!(grid.dimensions(), (80, 80));
        let [dark, light] = [grid.iter().min(), grid.iter().max()];
        assert!(dark < light, "an empty drawing");
    }
}

#[test]
fn a_run_that_diverges_stops_and_names_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.training.epochs = 1;
    train(&recipe, folder.path(), false).unwrap();
    let good = std::fs::read(folder.path().join("checkpoint")).unwrap();
    // What was trained goes on; a value that is none makes it diverge.
    let (_, mut pair) = pair(&recipe);
    let (state, progress) = {
        let identity = crate::train::checkpoint::Identity {
            recipe: serde_json::to_string(&recipe).unwrap(),
            data: dataset().train.fingerprint(),
        };
        crate::train::checkpoint::load(&folder.path().join("checkpoint"), &pair.tensors(), &identity).unwrap()
    };
    assert_eq!(progress.epochs.len(), 1);
    pair.set_state(&state).unwrap();
    let mut broken = batch();
    broken[0][3] = f32::NAN;
    assert!(!pair.step(&broken, 6, 1.0).unwrap().loss.is_finite(), "the discriminator's loss counts, too");

    recipe.training.optimizer = crate::recipe::Optimizer::Sgd { rate: 1e30, momentum: 0.0 };
    let error = train(&recipe, &folder.path().join("wild"), false).unwrap_err().to_string();
    assert!(error.starts_with("the loss is ") && error.contains("lower the learning rate"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("checkpoint")).unwrap(), good);
}

/// The recipe, four times as wide, with a class to draw among the latent values.
fn by_classes() -> Recipe {
    let widths = [
        ("units = 32", "units = 128"),
        ("channels = 2", "channels = 8"),
        ("filters = 3", "filters = 12"),
        ("filters = 4", "filters = 16"),
        ("{ type = \"flatten\" }", "{ type = \"flatten\" }, { type = \"dropout\", rate = 0.2 }"),
        ("units = 1 }", "units = 11 }"),
        ("latent = 5", "latent = 15, classes = true"),
    ];
    let wide = |recipe: String, (from, to): (&str, &str)| recipe.replace(from, to);
    toml::from_str(&widths.into_iter().fold(RECIPE.to_owned(), wide)).unwrap()
}

#[test]
fn the_classes_are_a_part_of_both_losses() {
    let recipe = by_classes();
    let (network, mut pair) = pair(&recipe);
    let mut state = undecided(&network, &pair);
    let bias = pair.tensors().iter().position(|tensor| tensor.name == "discriminator.dense1.bias").unwrap();
    pair.set_state(&state).unwrap();
    // Four images of class 0, four of class 7.
    let labels = (0..80).map(|i| if i % 10 == if i < 40 { 0 } else { 7 } { 1.0 } else { 0.0 }).collect();
    let latents = Latents::draw(1, 8, recipe.prior().unwrap(), None);
    let latents = (0..8).flat_map(|index| latents.real(index)).collect();
    let mask = vec![1.0; 16 * pair.masks()[0].shape.iter().product::<usize>()];
    let batch: Batch = vec![dataset().train.images().unwrap().nchw(0..8), latents, mask, labels];
    // Zeros say a half and a tenth to all.
    let measured = pair.step(&batch, 1, 1.0).unwrap();
    assert!((measured.loss - 2_f32.ln() - 10_f32.ln()).abs() < 1e-5, "{measured:?}");
    // Adam's first step goes by the sign: the classes that there were rise.
    for (class, moved) in pair.state().unwrap()[bias][1..].iter().enumerate() {
        assert_eq!(*moved > 0.0, [0, 7].contains(&class), "class {class} by {moved}");
    }
    assert!(pair.step(&batch[..3].to_vec(), 2, 1.0).is_err(), "a batch without labels");
    // A discriminator that always says class 3 misses all but one of the eight drawings.
    state[bias][1 + 3] = 50.0;
    pair.set_state(&state).unwrap();
    let measured = pair.step(&batch, 1, 1.0).unwrap();
    assert!((measured.loss - 2_f32.ln() - 50.0 * 7.0 / 8.0).abs() < 1e-3, "{measured:?}");
}

#[test]
fn a_generator_learns_to_draw_what_it_is_asked_for() {
    // Classes are the square's row, in the left half and in the right one.
    let Dataset { mut train, .. } = dataset();
    let Samples::Images(images) = &mut train else { panic!("images") };
    images.labels = (0..40).map(|sample| sample % 5 + 5 * u8::from(sample / 8 > 2)).collect();
    let data = Dataset::of_images(images.clone(), images.clone(), (0..10).map(|class| class.to_string()).collect());
    let mut recipe = by_classes();
    (recipe.training.epochs, recipe.training.optimizer) = (100, recipe.training.optimizer.at(0.01));
    let folder = tempfile::tempdir().unwrap();
    let model = run(&options(&recipe, &data, folder.path(), false)).unwrap().model.unwrap();
    let mut model = Inference::from_bytes(&std::fs::read(model).unwrap()).unwrap();
    // Row and column around which the drawings of a class are bright.
    let mut centre = |class: usize| {
        let drawn = draw(&mut model, &Latents::draw(3, 50, recipe.prior().unwrap(), Some(class))).unwrap();
        let [mut row, mut column, mut sum] = [0.0; 3];
        for (index, value) in drawn.iter().flat_map(|drawing| drawing.iter().enumerate()) {
            row += (index / 8) as f32 * (value + 1.0);
            column += (index % 8) as f32 * (value + 1.0);
            sum += value + 1.0;
        }
        [row / sum, column / sum]
    };
    let centres: Vec<[f32; 2]> = (0..10).map(&mut centre).collect();
    // The squares' rows lie around 1 to 5; their columns around 1, 2 and 3 on the left, 4 and 5 on the right.
    for (class, centre) in centres.iter().enumerate() {
        assert!((centre[0] - (1 + class % 5) as f32).abs() < 0.5, "{class}: {centres:?}");
    }
    let column = |half: usize| centres[half..half + 5].iter().map(|centre| centre[1]).sum::<f32>() / 5.0;
    assert!(column(5) - column(0) > 1.5, "{centres:?}");
}

//! A run that was stopped, or killed after a checkpoint, ends with the same bytes as one that never stopped.

use host::dataset::{Dataset, Images};
use host::recipe::Recipe;
use host::runtime::{Device, Inference};
use host::train::{self, Options, Summary};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const RECIPE: &str = r#"
name = "tiny"
data = { source = "mnist", validation = 16 }
layers = [
    { type = "conv2d", filters = 4, kernel = 3, padding = "same", activation = "relu" },
    { type = "max-pool2d", size = 2 },
    { type = "flatten" },
    { type = "dropout", rate = 0.2 },
    { type = "dense", units = 3 },
]
training = { epochs = 60, batch = 8, seed = 5, ema = 0.9, loss = { type = "cross-entropy", label-smoothing = 0.1 }, optimizer = { type = "adamw", rate = 0.003, decay = 0.01 }, schedule = { type = "cosine", warm-up = 0.1 } }
augmentation = { rotation = 5.0, shift = 1.0, erasing = 0.2, finish = 0.2, finish-strength = 0.5 }
"#;

fn recipe() -> Recipe {
    toml::from_str(RECIPE).unwrap()
}

/// Images of three classes: a bright row, a bright column, a bright square, each somewhere.
fn dataset() -> Dataset {
    let (height, width, count) = (8, 8, 80);
    let mut pixels = vec![0; count * height * width];
    let labels: Vec<u8> = (0..count).map(|sample| (sample % 3) as u8).collect();
    for (sample, image) in pixels.chunks_exact_mut(height * width).enumerate() {
        let place = 1 + (sample / 3) % 5;
        for i in 1..7 {
            match sample % 3 {
                0 => image[place * width + i] = 200,
                1 => image[i * width + place] = 220,
                _ => image[(place + i / 4) * width + 2 + i % 3] = 255,
            }
        }
    }
    let images = Images { height, width, channels: 1, pixels, labels };
    Dataset::of_images(images.clone(), images, ["row", "column", "square"].map(String::from).to_vec())
}

fn run(recipe: &Recipe, directory: &Path, resume: bool, stop: &AtomicBool) -> anyhow::Result<Summary> {
    let dataset = dataset();
    train::run(&Options {
        recipe,
        dataset: &dataset,
        device: Device::Cpu,
        init: None,
        resume,
        directory,
        stop,
        show: false,
    })
}

#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let recipe = recipe();
    let straight = run(&recipe, &folder.path().join("straight"), false, &never).unwrap();
    let expected = std::fs::read(straight.model.unwrap()).unwrap();
    let last = straight.epochs.last().unwrap();
    assert!(last.validation.unwrap().accuracy.unwrap() > 0.9, "it learns: {last:?}");

    // Stopped as by Ctrl-C, somewhere behind the first epoch.
    let directory = folder.path().join("stopped");
    let stop = AtomicBool::new(false);
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !directory.join("metrics.jsonl").exists() {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        });
        run(&recipe, &directory, false, &stop).unwrap()
    });
    assert!(stopped.model.is_none() && stopped.steps < straight.steps, "stopped at step {}", stopped.steps);
    let checkpoint = std::fs::read(&stopped.checkpoint).unwrap();

    // Resumed twice from the same checkpoint: the second time is what happens after a kill that lost all later work.
    for _ in 0..2 {
        std::fs::write(&stopped.checkpoint, &checkpoint).unwrap();
        let resumed = run(&recipe, &directory, true, &never).unwrap();
        assert_eq!(resumed.steps, straight.steps);
        assert!(std::fs::read(resumed.model.unwrap()).unwrap() == expected, "the weights differ");
        let lines = std::fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), recipe.training.epochs, "one line an epoch, none twice");
    }
    let files = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(files.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "nothing half-written is left");
}

#[test]
fn a_run_whose_steps_know_no_end_may_go_on_for_longer() {
    let folder = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let mut recipe = recipe();
    recipe.training.epochs = 3;
    recipe.training.schedule = host::recipe::Schedule::Constant;
    recipe.augmentation.finish = 0.0;
    let straight = run(&recipe, &folder.path().join("straight"), false, &never).unwrap();
    let mut shorter = recipe.clone();
    shorter.training.epochs = 2;
    run(&shorter, &folder.path().join("longer"), false, &never).unwrap();
    let longer = run(&recipe, &folder.path().join("longer"), true, &never).unwrap();
    assert_eq!(longer.epochs.len(), 3);
    let [longer, straight] = [longer, straight].map(|run| std::fs::read(run.model.unwrap()).unwrap());
    assert!(longer == straight, "the weights differ");
}

#[test]
fn a_checkpoint_continues_only_the_run_that_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let mut recipe = recipe();
    recipe.training.epochs = 1;
    let message = |recipe: &Recipe| format!("{:#}", run(recipe, folder.path(), true, &never).unwrap_err());
    assert!(message(&recipe).contains("nothing to resume"), "{}", message(&recipe));

    let summary = run(&recipe, folder.path(), false, &never).unwrap();
    let mut other = recipe.clone();
    other.training.batch = 16;
    assert!(message(&other).contains("training.batch: 16 now, 8 then"), "{}", message(&other));

    let mut bytes = std::fs::read(&summary.checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&summary.checkpoint, &bytes).unwrap();
    assert!(message(&recipe).contains("is damaged"), "{}", message(&recipe));
    std::fs::write(&summary.checkpoint, &bytes[..20]).unwrap();
    assert!(message(&recipe).contains("is damaged"), "{}", message(&recipe));
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.training.optimizer = host::recipe::Optimizer::Sgd { rate: 1e30, momentum: 0.0 };
    recipe.training.schedule = host::recipe::Schedule::Constant;
    let error = run(&recipe, folder.path(), false, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.starts_with("the loss is ") && error.contains("at step 2"), "{error}");
}

#[test]
fn a_network_that_does_not_fit_the_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |recipe: &Recipe| format!("{:#}", run(recipe, folder.path(), false, &AtomicBool::new(false)).unwrap_err());
    let mut wide = recipe();
    wide.layers.pop();
    assert!(refused(&wide).contains("the last layer gives"), "{}", refused(&wide));
    let mut deep = recipe();
    deep.layers.insert(1, host::graph::Layer::MaxPool2d { size: 9 });
    assert!(refused(&deep).contains("layer 2 (max-pool2d): 9 × 9 does not fit into 8 × 8"), "{}", refused(&deep));
    let mut greedy = recipe();
    greedy.data.validation = 75;
    assert!(refused(&greedy).contains("do not fill a batch of 8"), "{}", refused(&greedy));
}

/// A temperature is found once the weights are: it scales the logits, and a finished run gets one without a step.
#[test]
fn a_temperature_divides_the_logits_of_the_finished_net() {
    let never = AtomicBool::new(false);
    for batch_norm in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let layer = format!("units = 3, batch-norm = {batch_norm} }},");
        let mut recipe: Recipe = toml::from_str(&RECIPE.replace("units = 3 },", &layer)).unwrap();
        let plain = run(&recipe, folder.path(), false, &never).unwrap();
        assert_eq!(plain.temperature, None);
        let logits = |path: &Path| {
            let dataset = dataset();
            let inputs = dataset.test.images().unwrap().nchw(0..80);
            let mut model = Inference::from_bytes(&std::fs::read(path).unwrap()).unwrap();
            model.run(&[("input", &[80, 1, 8, 8], &inputs)]).unwrap().swap_remove(0).2
        };
        let before = logits(&plain.model.unwrap());
        recipe.training.temperature = true;
        let tempered = run(&recipe, folder.path(), true, &never).unwrap();
        let temperature = tempered.temperature.unwrap() as f32;
        // Smoothed labels leave a net that is right too unsure.
        assert!(temperature < 0.9, "{temperature}");
        for (before, after) in before.iter().zip(logits(&tempered.model.unwrap())) {
            assert!(
                (before / temperature - after).abs() < 1e-4 * (1.0 + after.abs()),
                "{before} {after} {temperature}"
            );
        }
    }
}

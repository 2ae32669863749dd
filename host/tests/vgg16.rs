//! VGG16 with its 14.7 MB of weights in the memory outside an emulated chip. Nobody has trained these weights: they are drawn, and
//! what is shown is that the net fits and runs, layer by layer what the twin computes.

use host::dataset::Images;
use host::device::{Session, board};
use host::export::{Options, Prefer, export, pack_for};
use host::graph::{Input, Layer, Network};
use host::quantize::Method;
use host::recipe::Recipe;
use host::train::initial;
use host::twin::Twin;
use std::path::Path;

const BOARD: &str = "mps2-an500";

/// Noise, which all layers let through.
fn images(count: usize) -> Images {
    let noise = |at: usize| ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    let pixels = (0..count * 3 * 32 * 32).map(noise).collect();
    Images { height: 32, width: 32, channels: 3, pixels, labels: vec![0; count] }
}

/// The recipe's net as a frozen stack has it, without batch norm, drawn and exported.
fn container(images: &Images) -> Vec<u8> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cifar10-vgg16/recipe.toml");
    let mut recipe = Recipe::load(&recipe).unwrap();
    for layer in &mut recipe.layers {
        match layer {
            Layer::Conv2d { batch_norm, .. } => *batch_norm = false,
            // One place is left: it is its own mean.
            Layer::GlobalAveragePool => *layer = Layer::Flatten,
            _ => {}
        }
    }
    let network = Network::new(&recipe.layers, Input::Image([3, 32, 32])).unwrap();
    let weights = initial(&network, 1);
    let onnx = network.inference(&weights.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let options = Options {
        name: recipe.name,
        labels: recipe.data.source.classes(),
        ranges: Method::MinMax,
        equalize: false,
        correct_bias: false,
        calibration: images.len(),
        // Four patches of 4,608 halfwords would be more scratch than the board has; one is not.
        prefer: Prefer::Ram,
        flash_budget: None,
        command: String::new(),
    };
    export(&onnx, images, &options).unwrap().container
}

#[test]
#[ignore = "takes three minutes: cargo test --release -p host --test vgg16 -- --ignored"]
fn the_board_computes_what_the_twin_does() {
    let images = images(2);
    let board = board(BOARD).unwrap();
    let packed = pack_for(&container(&images), board.core.packing()).unwrap();
    assert!(packed.len() > 14_000_000, "{} bytes", packed.len());
    let mut twin = Twin::new(&packed).unwrap();
    let input = images.int8(0);
    let expected = twin.trace(&input).unwrap();
    assert!(expected.iter().all(|tensor| tensor.iter().any(|value| *value != tensor[0])), "a layer says nothing");

    let mut session = Session::open(board, &packed).unwrap();
    session.write_input(&input).unwrap();
    let mut instructions = 0;
    for index in 0..twin.model().op_count() {
        let ticks = session.run(index, 1).unwrap();
        instructions += session.instructions(ticks).unwrap();
        let output = twin.model().op(index).unwrap().output;
        let bytes = expected[usize::from(output)].len();
        assert_eq!(session.read(output, bytes).unwrap(), expected[usize::from(output)], "op {index}");
    }
    eprintln!("{} bytes of model, {instructions} instructions", packed.len());
}

//! `host flash`, the program itself, on an emulated board behind a served probe.

use firmware::kernels::{Shape, packing};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Preference, Tensor};
use host::device::emulator::server::Server;
use host::device::{Place, Session, board};
use host::export::pack_for;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

const BOARD: &str = "mps2-an386";

/// One dense layer whose output lies at `offset` in the arena.
fn container(offset: usize) -> Vec<u8> {
    let tensor =
        |offset, count, element| Tensor { offset, shape: Shape::vector(count), element, zero_point: 0, scale: 1.0 };
    let output_stage = OutputStageSpec {
        bias: vec![0; 2],
        multipliers: vec![1 << 30; 2],
        left_shift: 0,
        output_min: -128,
        output_max: 127,
    };
    let weights = packing::dense(PACKING_PORTABLE, &[1; 8], [2, 4]);
    let parameters = Parameters::Dense { weights, output_stage };
    ModelBuilder {
        name: "tiny".into(),
        labels: Vec::new(),
        tensors: vec![tensor(0, 4, Element::I8), tensor(offset, 2, Element::I32)],
        ops: vec![OpSpec {
            input: 0,
            output: 1,
            packing: PACKING_PORTABLE,
            preference: Preference::default(),
            parameters,
        }],
        input: 0,
        output: 1,
        text: None,
    }
    .finish()
}

/// Exit code, standard output and standard error of `host flash MODEL`.
fn flash(model: &Path, selector: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["flash", "--on", BOARD, "--probe", selector])
        .arg(model)
        // Not the root of the project: `models/` lies further up.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_model_is_replaced_or_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let board = board(BOARD).unwrap();
    let socket = folder.path().join("probe");
    let server = Server::bind(&socket).unwrap();
    let qemu = host::setup::qemu().unwrap();
    // Serves until this process ends, and its emulator with it.
    std::thread::spawn(move || server.serve(&qemu, board.machine.as_ref().unwrap(), &AtomicBool::new(false)));
    let selector = format!("20b7:9db1:unix:{}", socket.display());
    let packed = pack_for(&container(4), board.core.packing()).unwrap();
    drop(Session::open_at(board, Place::Attached(selector.clone()), &packed).unwrap());

    let (code, output, _) = flash(Path::new("mnist-cnn"), &selector);
    assert_eq!(code, Some(0));
    assert!(output.starts_with("mps2-an386 runs mnist-cnn (") && output.lines().count() == 1, "{output}");

    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut future = container(4);
    future[std::mem::offset_of!(firmware::model::format::Header, version)] = 2;
    for (model, expected) in [
        (
            file("large.thm", &container(1 << 20)),
            "error: the model is in the flash of mps2-an386, but its firmware refuses it: the model needs an arena of \
             1048584 bytes, there are 131072\n",
        ),
        (file("future.thm", &future), "the model has version 2, this build reads version 1; export the model again\n"),
        (file("empty.thm", &[]), "\n"),
        (folder.path().join("absent.thm"), "absent.thm: No such file or directory (os error 2)\n"),
        ("teapot".into(), "; or give the path of a recipe.toml\n"),
    ] {
        let (code, output, error) = flash(&model, &selector);
        assert_eq!((code, output.as_str()), (Some(1), ""), "{error}");
        assert!(error.starts_with("error: ") && error.ends_with(expected) && error.lines().count() == 1, "{error}");
    }
    // What was refused has left the link in order.
    assert_eq!(flash(&file("small.thm", &container(4)), &selector).0, Some(0));
}

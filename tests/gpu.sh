#!/usr/bin/env bash
# On a machine with an NVIDIA card: holds the steps of every kind of net against the CPU's, measures them against PyTorch's
# (default, fastest, compiled), and with --train trains VGG16 and the GAN, whose weights under models/ it replaces. Needs
# python3 with torch for CUDA. On a machine without cargo, name what was built elsewhere: HOST, `target/release/host`; STEP, the
# bench `step`; and CHECK, the test `cuda` (`cargo build --release -p host --bin host --bench step --test cuda` says where they
# are), and ORT_DYLIB_PATH, ONNX Runtime with its CUDA provider and the libraries of CUDA and cuDNN in one folder.
set -euo pipefail
cd "$(dirname "$0")/.."
host=(${HOST:-cargo host})
check=(${CHECK:-cargo test --release -p host --test cuda --})

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
[ -n "${ORT_DYLIB_PATH:-}" ] || "${host[@]}" setup --gpu

echo "== what CUDA computes is what the CPU does"
"${check[@]}" --ignored --nocapture

echo "== a training step beside PyTorch's"
for net in cnn lstm autoencoder gan vgg16; do
    for device in cuda cuda-tf32; do
        echo "-- $net, $device"
        python3 host/benches/step_vs_pytorch.py --net "$net" --device "$device" ${STEP:+--program "$STEP"}
    done
done

if [ "${1:-}" = --train ]; then
    echo "== VGG16 on CIFAR-10, from scratch"
    "${host[@]}" train cifar10-vgg16 --device cuda-tf32 --json
    "${host[@]}" export cifar10-vgg16
    "${host[@]}" evaluate cifar10-vgg16 --on float --json
    "${host[@]}" evaluate cifar10-vgg16 --on int8 --json
    echo "== the GAN, three seeds; the last one stays"
    for seed in 3 2 1; do
        "${host[@]}" train mnist-gan --device cuda-tf32 --seed "$seed" --json
        "${host[@]}" export mnist-gan
        "${host[@]}" evaluate mnist-gan --on float --json
    done
fi

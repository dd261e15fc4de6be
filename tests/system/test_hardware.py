"""What agents tell of their hardware: what is a GPU, how large things are, and that all who show or use it read it alike."""

import datetime
import json
import subprocess

import pytest

import project
from coordinator import environment

NO_GPUS = ["N/A", "[N/A]", "unknown", "Unknown", "-", "--", " ", "", "none", "None", "no gpu", "No GPU detected", "not available",
           "cpu",
           "CPU only", "null", "nil", "undefined", "false", "0", "Failed to initialize NVML: Driver/library version mismatch",
           "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
           "Make sure that the latest NVIDIA driver is "
           "installed and running.", "bash: nvidia-smi: command not found", "No devices were found", "Error: no CUDA",
           "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    import torch\nModuleNotFoundError: torch",
           "llvmpipe (LLVM 15.0.7, 256 bits)", "Google SwiftShader", "Microsoft Basic Render Driver", "VMware SVGA II Adapter",
           "VirtualBox Graphics Adapter", "Red Hat, Inc. QXL paravirtual graphic card", "Cirrus Logic GD 5446",
           "ASPEED Technology, Inc. ASPEED Graphics Family", "Matrox Electronics Systems Ltd. MGA G200eW", "AST2500", "N/A\nN/A"]


@pytest.mark.parametrize("gpu_type", NO_GPUS)
def test_what_is_no_gpu_gets_no_work_of_one(coordinator, gpu_type):
    answer = coordinator.register("w", {"cpu_cores": 16, "ram": "64GB", "gpu_type": gpu_type, "gpu_memory": "24564 MiB"})
    assert (answer["tier"], answer["worker_type"]) == (2, "cpu")
    assert answer["assigned_containers"][0]["name"] not in ("rma-vllm-worker", "rma-ollama-vision-worker")
    assert coordinator.get("/api/admin/health").json["has_minimum_workers"] == {"gpu_workers": False, "service_workers": True}
    row = coordinator.worker("w")
    assert row["hardware"]["gpu"] is False and row["capabilities"]["gpu_type"] == gpu_type, "what it told is kept"


@pytest.mark.parametrize("gpu_type", ["RTX 4090", "AMD GPU", "Unknown (AMD)", "NVIDIA A100; NVIDIA A100",
                                      "ASPEED Graphics Family\nTesla T4",
                                      "Advanced Micro Devices, Inc. [AMD/ATI] Navi 31", "Intel Arc A770"])
def test_what_is_a_gpu(coordinator, gpu_type):
    assert coordinator.register("w", {"gpu_type": gpu_type})["tier"] == 1
    assert coordinator.worker("w")["hardware"] == {"gpu": True}


@pytest.mark.parametrize("said", [{"has_gpu": True}, {"worker_type": "gpu"}])
def test_an_explicit_word_decides_whatever_the_card_is_called(coordinator, said):
    assert coordinator.register("w", {"gpu_type": "N/A", **said})["tier"] == 1


@pytest.mark.parametrize("capabilities, tier", [
    ({"gpu_type": "RTX", "gpu_memory": "7.79GB"}, 1), ({"gpu_type": "RTX", "gpu_memory": "7.999 GB"}, 1),
    ({"gpu_type": "RTX", "gpu_memory": "7.36GB"}, 1), ({"gpu_type": "RTX", "gpu_memory": "7.35GB"}, 2),
    ({"cpu_cores": 2, "ram": "3.8GB"}, 2), ({"cpu_cores": 2, "ram": 3.68}, 2), ({"cpu_cores": 2, "ram": "3.67GB"}, 3),
    ({"cpu_cores": 2, "ram": "3,6 GB"}, 3), ({"cpu_cores": 2, "ram": "3,8 GB"}, 2), ({"cpu_cores": 2, "ram": "512Mi"}, 3),
    ({"cpu_cores": 2, "ram": "2Gi"}, 3), ({"cpu_cores": 2, "ram": 2048}, 3), ({"cpu_cores": 2, "ram": "2048"}, 3),
    ({"cpu_cores": 2, "ram": 4294967296}, 2), ({"cpu_cores": 2, "ram": "2147483648"}, 3),
    ({"gpu_type": "RTX", "gpu_memory": 24564}, 1), ({"gpu_type": "RTX", "gpu_memory": "4096"}, 2),
    ({"gpu_type": "GT\nGT", "gpu_memory": "6144 MiB\n6144 MiB"}, 2),
    ({"gpu_type": "GT, RTX", "gpu_memory": "2048MiB, 24564MiB"}, 1),
    ({"gpu_type": "RTX", "gpu_memory": "0"}, 2), ({"gpu_type": "RTX", "gpu_memory": "[N/A]"}, 1)])
def test_sizes_near_a_limit_and_without_a_unit(coordinator, capabilities, tier):
    assert coordinator.register("w", {"cpu_cores": 8, "ram": "16GB", **capabilities})["tier"] == tier


@pytest.mark.parametrize("told, text, size", [
    ("24564 MiB", "24 GB", 24564 << 20), ("24564MiB, 24564MiB", "48 GB", 2 * 24564 << 20),
    ("2048 MiB\n2048 MiB", "4 GB", 4096 << 20),
    ("2 x 24 GB", "48 GB", 48_000_000_000), (2048, "2 GB", 2048 << 20), ("3,6 GB", "3.6 GB", 3_600_000_000),
    ("512Mi", "512 MB", 512 << 20),
    (16777216000, "15.6 GB", 16777216000), ("24,564 MiB", "24 GB", 24564 << 20)])
def test_a_size_is_listed_as_it_was_read(coordinator, told, text, size):
    coordinator.register("w", {"gpu_type": "RTX", "gpu_memory": told, "ram": told, "storage": told})
    coordinator.beat("w", available_memory=str(told))
    read = {"bytes": size, "text": text}
    row = coordinator.workers()["w"]
    assert row["hardware"] == {"gpu": True, "gpu_memory": read, "ram": read, "storage": read}
    assert row["available_memory_size"] == read
    assert row["capabilities"]["ram"] == told


def test_what_is_no_size_is_left_out(coordinator):
    coordinator.register("w", {"ram": "Unknown", "storage": None})
    row = coordinator.worker("w")
    assert row["hardware"] == {"gpu": False} and row["available_memory_size"] is None


def test_an_imported_worker_is_read_alike(redis, coordinator, tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat()
    registry = {"w": {"tier": 1, "last_heartbeat": now,
                      "capabilities": {"gpu_type": "RTX", "gpu_memory": "24564MiB, 24564MiB", "ram": 16777216000}}}
    (tmp_path / "registry.json").write_text(json.dumps(registry))
    subprocess.run([project.BINARY, "import", tmp_path / "registry.json"], env=environment({"REDIS_URL": redis.url}), check=True,
                   capture_output=True)
    hardware = coordinator.worker("w")["hardware"]
    assert hardware["gpu"] is True and hardware["gpu_memory"]["text"] == "48 GB" and hardware["ram"]["text"] == "15.6 GB"

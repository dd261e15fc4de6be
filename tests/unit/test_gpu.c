#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/gpu.h"
#include "model/placeholder.h"

static const char *const gpus[] = {
    "NVIDIA GeForce RTX 4090",
    "NVIDIA A100-SXM4-40GB",
    "Tesla T4",
    "RTX",
    "4090",
    "AMD GPU",
    "AMD Radeon RX 7900 XTX",
    "AMD Instinct MI300X",
    "Advanced Micro Devices, Inc. [AMD/ATI] Navi 31 [Radeon RX 7900 XT]",
    "Intel Arc A770",
    "Intel Corporation DG2 [Arc A770]",
    "Apple M2 Ultra",
    "Unknown (AMD)",
    "GPU",
    "cuda",
    "NVIDIA GeForce RTX 4090; NVIDIA GeForce RTX 4090",
    "NVIDIA A100, NVIDIA A100",
    "ASPEED Graphics Family; NVIDIA A100",
    "llvmpipe (LLVM 15.0.7, 256 bits)\nNVIDIA RTX A6000",
    "N/A\nTesla V100",
    "ASPEED Technology, Inc. ASPEED Graphics Family, NVIDIA A100",
    "NVIDIA GRID A100D-10C",
    "VGA compatible controller: NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)",
    "Matrox Electronics Systems Ltd. MGA G200eW3\nNVIDIA Corporation GA100",
    "GPU 0: NVIDIA A30 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)",
    "Warning: infoROM is corrupted at gpu 0000:00:1E.0\nNVIDIA A10G",
    "Google TPU v4",
    "NVIDIA Graphics Device",
    "Intel",
    "8xH100",
    "['NVIDIA A100', 'NVIDIA A100']",
    ("03:00.0 VGA compatible controller: Matrox Electronics Systems Ltd. MGA G200eW3\n"
     "3b:00.0 3D controller: NVIDIA Corporation GA100 [A100 PCIe 40GB]"),
    "*-display\n description: VGA compatible controller\n product: GA102 [GeForce RTX 3090]\n vendor: NVIDIA Corporation",
};

static const char *const others[] = {
    "",
    " ",
    "-",
    "--",
    "\xe2\x80\x94",
    "?",
    "N/A",
    "[N/A]",
    "n/a",
    "none",
    "None",
    "<none>",
    "NONE",
    "null",
    "nil",
    "NaN",
    "undefined",
    "unknown",
    "Unknown",
    "[Unknown]",
    "false",
    "False",
    "0",
    "1",
    "0 GPUs",
    "no",
    "no gpu",
    "No GPU detected",
    "no-gpu",
    "no_gpu",
    "No GPU",
    "None detected",
    "GPU not found",
    "not available",
    "Not Available",
    "Not supported",
    "[Not Supported]",
    "CUDA not available",
    "cpu",
    "CPU only",
    "cpu-only",
    "CPU (no GPU)",
    "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
    "AMD EPYC 7763 64-Core Processor",
    "Failed to initialize NVML: Driver/library version mismatch",
    "Failed to initialize NVML: Unknown Error",
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is "
    "installed "
    "and running.",
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMake sure that the latest NVIDIA driver is "
    "installed "
    "and running.\n",
    "bash: nvidia-smi: command not found",
    "/bin/sh: 1: nvidia-smi: not found",
    "No devices were found",
    "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost. Reboot the system to recover this GPU",
    "Traceback (most recent call last):\n  File \"gpu.py\", line 3, in <module>\n    import torch\nModuleNotFoundError: No module "
    "named "
    "'torch'",
    "Error: no such device",
    "[Errno 2] No such file or directory: 'nvidia-smi'",
    "FileNotFoundError",
    "AssertionError: Torch not compiled with CUDA enabled",
    "llvmpipe (LLVM 15.0.7, 256 bits)",
    "softpipe",
    "Mesa llvmpipe",
    "SwiftShader Device (Subzero)",
    "Google SwiftShader",
    "swrast",
    "Software Rasterizer",
    "Microsoft Basic Render Driver",
    "Microsoft Basic Display Adapter",
    "Microsoft Hyper-V Video",
    "GDI Generic",
    "VMware SVGA II Adapter",
    "VMware, Inc. SVGA II Adapter",
    "VMware SVGA 3D",
    "VirtualBox Graphics Adapter",
    "InnoTek Systemberatung GmbH VirtualBox Graphics Adapter",
    "Red Hat, Inc. QXL paravirtual graphic card",
    "QXL",
    "Red Hat, Inc. Virtio 1.0 GPU (rev 01)",
    "virtio_gpu",
    "Cirrus Logic GD 5446",
    "bochs-drm",
    "ASPEED Technology, Inc. ASPEED Graphics Family",
    "VGA compatible controller: ASPEED Technology, Inc. ASPEED Graphics Family (rev 41)",
    "AST2500",
    "ast2600",
    "Matrox Electronics Systems Ltd. MGA G200eW WPCM450 (rev 0a)",
    "Matrox G200eH3",
    "MGA G200",
    "Nuvoton WPCM450",
    "XGI Technology Inc. Z7/Z9",
    "ES1000",
    "Huawei Technologies Co., Ltd. Hi1710 [iBMC Intelligent Management system chip w/VGA support]",
    "N/A; N/A",
    "none, none",
    "llvmpipe; ASPEED",
    "ERR!",
    "[GPU requires reset]",
    "torch.cuda.is_available() = False",
    "GPU access blocked by the operating system",
    "Command exited with code 127",
    "cudaErrorNoDevice",
    "Parallels Display Adapter (WDDM)",
    "Citrix Indirect Display Adapter",
    "QEMU Virtual Video Controller",
    "VGA compatible controller: Device 1234:1111 (rev 02)",
    "Emulex Pilot3",
    "mgag200",
    "vmwgfx",
    "SVGA3D; build: RELEASE;  LLVM;",
    "Microsoft WARP",
    "Intel(R) Core(TM) i7-9700K",
    "x86_64",
    "nogpu",
    "keine GPU",
    "0 x NVIDIA A100",
    "0.0",
    ("*-display\n description: VGA compatible controller\n product: MGA G200eW WPCM450\n vendor: Matrox Electronics Systems Ltd.\n "
     "physical id: 3\n bus info: pci@0000:03:00.0\n width: 32 bits\n configuration: driver=mgag200 latency=64\n"),
    "description: VGA compatible controller\nproduct: ASPEED Graphics Family\nvendor: ASPEED Technology, Inc.",
};

static void test_gpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(gpus) / sizeof(gpus[0]); i++)
        if (!gpu_is_one(str_from(gpus[i])))
            fail_msg("\"%s\" was taken for no GPU", gpus[i]);
}

static void test_what_is_no_gpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (gpu_is_one(str_from(others[i])))
            fail_msg("\"%s\" was taken for a GPU", others[i]);
    assert_false(gpu_is_one((struct str){NULL, 0}));
    assert_false(gpu_is_one((struct str){"\0;\0", 3}));
}

static void test_placeholders(void **state)
{
    (void)state;
    static const char *const nothing[] = {"",     " ",         "\t\n",      "None",   "none",     "NULL",
                                          "null", "nil",       "N/A",       "n/a",    "n.a.",     "[N/A]",
                                          "NaN",  "undefined", "(unknown)", "<none>", "\"null\"", "not available"};
    static const char *const something[] = {"nobody", "none-1", "null0",        "0",        "a",
                                            "n",      "nana",   "unknown-host", "\xc3\xa4", "notavailable-but-long-enough"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        if (!placeholder_is(str_from(nothing[i])) || !placeholder_is_id(str_from(nothing[i])))
            fail_msg("\"%s\" was taken for something", nothing[i]);
    for (size_t i = 0; i < sizeof(something) / sizeof(something[0]); i++)
        if (placeholder_is(str_from(something[i])) || placeholder_is_id(str_from(something[i])))
            fail_msg("\"%s\" was taken for nothing", something[i]);
    assert_true(placeholder_is((struct str){NULL, 0}));
    assert_true(placeholder_is(STR("--")) && placeholder_is(STR("\xe2\x80\x93")));
    assert_false(placeholder_is_id(STR("--")) || placeholder_is_id(STR(":")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpus),
        cmocka_unit_test(test_what_is_no_gpu),
        cmocka_unit_test(test_placeholders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

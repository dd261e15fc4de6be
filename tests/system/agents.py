"""What the worker agents in the field send, word for word."""

REGISTRATIONS = {
    "docker worker agent": {"capabilities": {"cpu_cores": 2, "ram": "23.5GB", "storage": "251.0GB"}},
    "docker worker agent with a GPU": {
        "capabilities": {"cpu_cores": 16, "ram": "62.7GB", "storage": "915.3GB", "gpu_memory": "24564 MiB",
                         "gpu_type": "NVIDIA GeForce RTX 4090", "gpu_driver": "nvidia"}},
    "docker worker agent with an AMD GPU": {
        "capabilities": {"cpu_cores": 12, "ram": "31.3GB", "storage": "465.8GB", "gpu_memory": "Unknown (AMD)",
                         "gpu_type": "AMD GPU", "gpu_driver": "rocm"}},
    "container agent": {
        "capabilities": {"cpu_cores": 8, "ram": "15.6GB", "storage": "466.0GB", "containerized": True, "worker_type": "cpu",
                         "ip_address": "203.0.113.44"},
        "services": [{"name": "rag", "container": "rag-service", "port": 8102, "health": "healthy", "version": "unknown"}],
        "ip_address": "https://x1.trycloudflare.com",
        "tunnel_url": "https://x1.trycloudflare.com",
        "wants_heartbeat_leadership": True},
    "container agent without a tunnel": {
        "capabilities": {"cpu_cores": 8, "ram": "15.6GB", "storage": "466.0GB", "containerized": True, "worker_type": "cpu",
                         "ip_address": None},
        "services": [], "ip_address": None, "tunnel_url": None, "wants_heartbeat_leadership": False},
    "universal agent": {
        "worker_id": "worker-edge-local-worker-1733665200",
        "tunnel_url": "http://worker-edge-local-worker-1733665200:8000",
        "vpn_ip": None,
        "capabilities": {"worker_type": "cpu", "cpu_cores": 8, "cpu_model": "AMD EPYC", "ram": "15.6GB", "has_gpu": False,
                         "has_storage": False, "has_public_ip": False}},
}

HEARTBEATS = {
    "docker worker agent": {"status": "healthy", "current_load": 0.35, "available_memory": "22.9GB"},
    "container agent": {"status": "healthy", "current_load": 0.07, "available_memory": "12.1GB"},
    "universal agent": {"status": "healthy", "current_load": 0.0},
}

TIERS = {
    "docker worker agent": (2, "cpu"),
    "docker worker agent with a GPU": (1, "gpu"),
    "docker worker agent with an AMD GPU": (1, "gpu"),
    "container agent": (2, "cpu"),
    "container agent without a tunnel": (2, "cpu"),
    "universal agent": (2, "cpu"),
}

"""Run the pieces of compose.yaml here, make a picture and a video, end a replica meanwhile: `scripts/cluster`."""

import sys
import tempfile
import time
from pathlib import Path

import anyio
from support.accounts import PROVIDER

from cluster.cluster import NO_NGINX, find_nginx, run_cluster
from cluster.visit import follow, make


async def main() -> int:
    """Tell each step, and return 1 if one fails."""
    if not find_nginx():
        print(NO_NGINX)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with run_cluster(Path(folder), seconds=6, with_login=PROVIDER.exists()) as cluster:
            pieces = f"the sandbox, {len(cluster.replicas)} replicas, nginx{' and a provider' if cluster.login else ''}"
            print(f"{time.monotonic() - began:5.1f} s  {pieces} run")
            made = await make(cluster, "nano_banana_image")
            picture = await follow(cluster, str(made["task_id"]))
            print(f"{time.monotonic() - began:5.1f} s  a picture is {picture['status']}")
            video = await make(cluster, "kling_video")
            watching = next(each for each in cluster.replicas if each.watches(str(video["task_id"])))
            took = watching.end()
            print(f"{time.monotonic() - began:5.1f} s  one replica has ended in {took:.1f} s while a video runs")
            ended = await follow(cluster, str(video["task_id"]))
            print(f"{time.monotonic() - began:5.1f} s  the video is {ended['status']}")
            files = cluster.count_results()
            print(f"        {files} files are saved, and KIE has accepted {len(cluster.read_accepted())} tasks")
            return int((picture["status"], ended["status"], files) != ("succeeded", "succeeded", 2))


if __name__ == "__main__":
    sys.exit(anyio.run(main))

# The command `amc` in an image, for CPUs or for NVIDIA's GPUs:
#     docker build --tag amc .
#     docker build --tag amc:cpu --build-arg TORCH_INDEX=<PyTorch's index of wheels for CPUs> .
#     docker run --rm --volume "$PWD:/work" amc run quickstart
FROM python:3.11-slim-bookworm

# Where PyTorch comes from. Left out, it is PyPI, whose package brings CUDA; the host has the driver.
ARG TORCH_INDEX=

RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev wget && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.11,<2.14"
COPY . /src
RUN pip install --no-cache-dir "/src" "ray[default]"

WORKDIR /work
ENTRYPOINT ["amc"]
CMD ["--help"]

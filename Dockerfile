# The command `amc` in an image, for CPUs or for NVIDIA's GPUs:
#     docker build --tag amc .
#     docker build --tag amc:cuda --build-arg TORCH=cu128 .
#     docker run --rm --volume "$PWD:/work" amc run quickstart
FROM python:3.11-slim-bookworm

# cpu, or the CUDA of PyTorch's index, such as cu128; PyTorch's package brings CUDA itself, the host has the driver.
ARG TORCH=cpu

RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev wget && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir "torch>=2.11,<2.14" --index-url "https://download.pytorch.org/whl/$TORCH"
COPY . /src
RUN pip install --no-cache-dir "/src" "ray[default]"

WORKDIR /work
ENTRYPOINT ["amc"]
CMD ["--help"]

# The command `amc` in an image, for CPUs or for NVIDIA's GPUs:
#     docker build --tag amc .
#     docker build --tag amc:cpu --build-arg TORCH_INDEX=<PyTorch's index of wheels for CPUs> .
#     docker run --rm --shm-size 1g --volume "$PWD:/work" amc run quickstart
FROM python:3.11-slim-bookworm

# Where PyTorch comes from. Left out, it is PyPI, whose package brings CUDA; the host has the driver.
ARG TORCH_INDEX=

# gcc builds the kernels here, and on a GPU what PyTorch compiles at run time. The probes of KubeRay call wget.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev wget \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.11,<2.14"
COPY . /src
# Ray's dashboard takes the jobs that KubeRay submits; the version is that of deploy/rayjob.yaml and cluster.yaml.
RUN pip install --no-cache-dir /src "ray[default,tune]==2.60.0" && amc --version

WORKDIR /work
ENTRYPOINT ["amc"]
CMD ["--help"]

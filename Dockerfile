# syntax=docker/dockerfile:1
#
#   docker build --target cpu  -t hrm-arc:cpu  .
#   docker build --target cuda -t hrm-arc:cuda .
#   docker build --target cuda -t hrm-arc:cuda --build-arg FLASH_ATTENTION_2=yes .   # compiles it: an hour
#
# By itself an image runs everything (`hrm-arc serve`); deploy/compose.yaml runs the parts.

ARG PYTHON_IMAGE=python:3.12.12-slim-trixie
# FlashAttention 2 too, which has no wheels for this torch: yes or no.
ARG FLASH_ATTENTION_2=no
# Its Python must be of the same minor version, its C library no newer.
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-devel-ubuntu24.04

# --- what both images have -------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS base
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    HRM_ARC_HOST=0.0.0.0 \
    HRM_ARC_CHECKPOINTS=/checkpoints \
    HRM_ARC_STATE_FOLDER=/state
# torch.compile calls a C++ compiler, for the GPU too.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /state --shell /usr/sbin/nologin hrm-arc \
    && mkdir /checkpoints
# The requirements are a layer of their own, which changes of the code leave alone.
RUN --mount=type=bind,source=pyproject.toml,target=/tmp/pyproject.toml \
    python -c 'import tomllib; print(*tomllib.load(open("/tmp/pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
    > /requirements.txt
WORKDIR /state
VOLUME /state
EXPOSE 8400
STOPSIGNAL SIGTERM
# Live, not ready: a container is not ill because a worker still compiles.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/health/live' % os.environ.get('HRM_ARC_PORT', 8400), timeout=4)"]
ENTRYPOINT ["hrm-arc"]
CMD ["serve"]

# --- the project as a wheel ------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS project
COPY . /project
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /project

# --- FlashAttention 2, compiled for the torch of the CUDA image ------------------------------------
FROM ${CUDA_IMAGE} AS flash-yes
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu130
ARG FLASH_ATTN_VERSION=2.8.3.post2
# 80: A100 and, by compatibility, the consumer cards since; 90: H100 and H200.
ARG FLASH_ATTN_CUDA_ARCHS="80;90"
ARG MAX_JOBS=4
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /venv
RUN /venv/bin/pip install --no-cache-dir torch==${TORCH_VERSION} --index-url ${TORCH_INDEX} \
    && /venv/bin/pip install --no-cache-dir ninja packaging psutil setuptools wheel
RUN FLASH_ATTENTION_FORCE_BUILD=TRUE \
    /venv/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels \
    flash-attn==${FLASH_ATTN_VERSION}

FROM ${PYTHON_IMAGE} AS flash-no
RUN mkdir /wheels

FROM flash-${FLASH_ATTENTION_2} AS flash

# --- the CPU image ---------------------------------------------------------------------------------
FROM base AS cpu
ARG TORCH_VERSION=2.13.0
RUN pip install torch==${TORCH_VERSION} --index-url https://download.pytorch.org/whl/cpu \
    && pip install --requirement /requirements.txt
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels pip install --no-deps /wheels/*.whl
USER 10001:10001

# --- the CUDA image: torch brings CUDA's libraries, the host its driver ----------------------------
FROM base AS cuda
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu130
# FlashAttention 3, forward only, for Hopper: a wheel of the stable ABI, which any torch of CUDA 13 loads.
# Which attention runs is measured; elsewhere than on Hopper it is torch's own.
ARG FLASH_PACKAGES=fa3-fwd==0.0.3
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN pip install torch==${TORCH_VERSION} --index-url ${TORCH_INDEX} \
    && pip install --requirement /requirements.txt
RUN --mount=type=bind,from=flash,source=/wheels,target=/wheels \
    pip install packaging $(find /wheels -name '*.whl') ${FLASH_PACKAGES}
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels pip install --no-deps /wheels/*.whl
USER 10001:10001

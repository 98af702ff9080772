# syntax=docker/dockerfile:1
#
#   docker build --target cpu  -t hrm-arc:cpu  .
#   docker build --target cuda -t hrm-arc:cuda .
#   docker build --target cuda -t hrm-arc:cuda --build-arg FLASH_ATTENTION_2=yes .   # compiles it: an hour
#
# By itself an image runs everything (`hrm-arc serve`); deploy/compose.yaml runs the parts. What is
# installed stands with hashes in deploy/locks, and in the image in /usr/share/hrm-arc.

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
# torch.compile calls a C++ compiler, for the GPU too. The distribution's release fixes its version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /state --shell /usr/sbin/nologin hrm-arc \
    && mkdir /checkpoints
WORKDIR /state
VOLUME /state
EXPOSE 8400
STOPSIGNAL SIGTERM
# Live, not ready: a container is not ill because a worker still compiles.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/health/live' % os.environ.get('HRM_ARC_PORT', 8400), timeout=4)"]
ENTRYPOINT ["hrm-arc"]
CMD ["serve"]
LABEL org.opencontainers.image.title="hrm-arc" \
      org.opencontainers.image.description="Inference service for ARC puzzles with trained Hierarchical Reasoning Models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"

# --- the project as a wheel ------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS project
COPY . /project
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /project

# --- FlashAttention 2, compiled for the torch of the CUDA image ------------------------------------
FROM ${CUDA_IMAGE} AS flash-yes
ARG FLASH_ATTN_VERSION=2.8.3.post2
# 80: A100 and, by compatibility, the consumer cards since; 90: H100 and H200.
ARG FLASH_ATTN_CUDA_ARCHS="80;90"
ARG MAX_JOBS=4
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /venv
COPY deploy/locks/cuda.txt /locks/
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /locks/cuda.txt \
    && /venv/bin/pip install --no-cache-dir wheel==0.45.1
RUN FLASH_ATTENTION_FORCE_BUILD=TRUE \
    /venv/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels \
    flash-attn==${FLASH_ATTN_VERSION}

FROM ${PYTHON_IMAGE} AS flash-no
RUN mkdir /wheels

# One of the two stages above.
# hadolint ignore=DL3006
FROM flash-${FLASH_ATTENTION_2} AS flash

# --- the CPU image ---------------------------------------------------------------------------------
FROM base AS cpu
COPY deploy/locks/torch-cpu.txt deploy/locks/cpu.txt /usr/share/hrm-arc/
RUN pip install --no-deps --require-hashes --requirement /usr/share/hrm-arc/torch-cpu.txt \
    && pip install --no-deps --require-hashes --requirement /usr/share/hrm-arc/cpu.txt
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels \
    pip install --no-deps /wheels/*.whl && pip check
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
USER 10001:10001

# --- the CUDA image: torch brings CUDA's libraries, the host its driver ----------------------------
FROM base AS cuda
# Drivers before 580 cannot run CUDA 13; NVIDIA's container toolkit refuses them by this.
ENV NVIDIA_REQUIRE_CUDA="cuda>=13.0" \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# With FlashAttention 3, forward only, for Hopper: a wheel of the stable ABI, which any torch of
# CUDA 13 loads. Which attention runs is measured; elsewhere than on Hopper it is torch's own.
COPY deploy/locks/cuda.txt /usr/share/hrm-arc/
RUN pip install --no-deps --require-hashes --requirement /usr/share/hrm-arc/cuda.txt
RUN --mount=type=bind,from=flash,source=/wheels,target=/wheels \
    find /wheels -name '*.whl' -exec pip install --no-deps {} +
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels \
    pip install --no-deps /wheels/*.whl && pip check
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
USER 10001:10001

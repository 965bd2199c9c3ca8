# One image for every service. torch's ordinary build runs on GPUs and on CPUs and takes several
# gigabytes; TORCH_INDEX names pip another index, such as PyTorch's own of CPU builds. EXTRAS=cpu
# adds OpenVINO, for int8 and for what `nifos tune` may find faster on CPUs.
FROM python:3.11-slim

ARG TORCH_INDEX=
ARG EXTRAS=

RUN useradd --create-home --uid 10001 nifos \
    && install -d -o nifos -g nifos /app /data
WORKDIR /app

# Dependencies first, so that a change of the code does not install them again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY . .
RUN pip install --no-cache-dir -c constraints.txt -e ".${EXTRAS:+[$EXTRAS]}"

USER nifos
ENV NIFOS_HOME=/data
ENTRYPOINT ["nifos"]
CMD ["--help"]

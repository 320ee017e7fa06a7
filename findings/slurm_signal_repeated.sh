#!/usr/bin/env bash
# Slurm 22.05.8 (Debian 12): scancel sends a signal to a task of an array again and again, as long as other tasks of the array wait.
#
# Guess before running: one signal, as to a job that is no array, and status 0.
# Seen: the task gets the signal, scancel takes the answer "Job can not be altered now, try again later" for a failure, and sends it
# again after 5, 6, 7 ... seconds, up to ten times, until it gives up with an error.
# Hurts: sweeps as arrays (submitit, Hydra's launcher), whose jobs are told by a signal to save: a handler that saves at each, or that takes a
# second one for "at once", as for Ctrl-C, does so in the middle of saving.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; sleep 2; rm -rf "$folder"' EXIT
cd "$folder"
version=22.05.8-4+deb12u3
apt-get -qq -o APT::Sandbox::User=root download {slurmctld,slurmd,slurm-client,slurm-wlm-basic-plugins}=$version
for package in *.deb; do dpkg -x "$package" .; done
export PATH="$folder/usr/bin:$folder/usr/sbin:$PATH" LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu/slurm-wlm"
export SLURM_CONF="$folder/slurm.conf"
host=$(hostname -s)
mkdir state spool
cat > slurm.conf <<CONF
ClusterName=finding
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26827
SlurmdPort=26828
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
PluginDir=$LD_LIBRARY_PATH
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES
CONF
slurmctld-wlm -D 2> slurmctld.log &
slurmd-wlm -D -d "$folder/usr/sbin/slurmstepd-wlm" 2> slurmd.log &
for _ in $(seq 60); do sinfo -h 2> /dev/null | grep -q idle && break; sleep 1; done
cat > counts.sh <<'JOB'
#!/bin/bash
trap 'echo signal >> "seen.$SLURM_ARRAY_TASK_ID"' USR2
while :; do sleep 0.2; done
JOB
for tasks in 0 0-3; do
    job=$(sbatch --parsable --array="$tasks" --output=/dev/null --wrap "exec srun bash $folder/counts.sh")
    until squeue -h -r -j "$job" -o "%i %T" | grep -q "${job}_0 RUNNING"; do sleep 0.5; done
    sleep 2
    rm -f seen.0
    timeout 16 scancel --signal=USR2 "${job}_0" && status=0 || status=$?
    sleep 1
    echo "array $tasks: $(wc -l < seen.0) signals, status $status" | tee -a seen
    scancel --full --signal=KILL "$job" 2> /dev/null || true
    scancel "$job" 2> /dev/null || true
    until [ -z "$(squeue -h)" ]; do sleep 0.5; done
done
grep -qx "array 0: 1 signals, status 0" seen && grep -qE "^array 0-3: [2-4] signals, status 124" seen || { echo "the behaviour has changed"; exit 1; }

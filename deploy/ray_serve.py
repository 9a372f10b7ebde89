"""Replicas of the server with Ray Serve, beside a Ray cluster that labels in bulk. Unverified.

    pip install 'pansight[serve]' 'ray[serve]'
    PANSIGHT_MODELS=yoso-tiny serve run deploy.ray_serve:application

Ray's proxy passes requests on, so limits on connections and headers are Ray's; limits on bytes, pixels, queue
and time are those of the application.
"""

from ray import serve

from pansight.serve.application import from_environment


@serve.deployment(
    num_replicas="auto",
    max_ongoing_requests=64,
    ray_actor_options={"num_cpus": 2},
    graceful_shutdown_timeout_s=30,
    health_check_period_s=10,
)
@serve.ingress(from_environment)
class Pansight:
    """One replica: the models of PANSIGHT_MODELS."""


application = Pansight.bind()

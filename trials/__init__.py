"""Ready-made tasks (LeNet-5, AlexNet, YOLOv2), each a script that ``trialCommand`` can run.

In a checkout of the repository this package is called ``trials``; an installed wheel has it as
``nni_stress.trials``. Imports within it are therefore relative.
"""
